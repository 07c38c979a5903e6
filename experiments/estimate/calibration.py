"""What the steps of a study take on this machine, measured in a few seconds."""

import hashlib
import itertools
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Self

import numpy as np
from scipy.optimize import nnls

from clients.parties import open_party
from clients.parties.base import PIECE
from experiments.backends.inline import InlineGrid
from experiments.baselines.training import Baselines
from experiments.dataset import Dataset
from experiments.estimate.formulas import plan_of
from experiments.estimate.steps import Steps, steps_of
from experiments.joined import read_joined, read_roles
from experiments.made_tables import write_tables
from fl.boosting import Gradients
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.encrypted_sums import new_owner, new_responder
from fl.protocols import vertical_contenders
from fl.records import encode
from fl.reserve import RESERVE
from fl.wire import Envelope, from_bytes, pack, to_bytes, unpack
from fl.workload import EncryptedSums, Plan, Sizes, Workload
from server.coordinator import assign_roles, connect, train, train_reserve
from server.costs import Costs
from server.progress import Progress, ignore
from server.training import Training

REHEARSED_ROWS = 1_600, 8_000, 64_000
"""Rows of the smaller made table, and of the larger one at least and at most; see `rehearsed_rows`."""
_ROUNDS = {"trees": 3, "batches": 16, "exchanges": 3}
"""Rounds of a rehearsal, by the setting that says how many there are."""
# Training must not stop before these rounds, nor for want of rows or of a column that tells something.
_PATIENT = {
    "patience": 9,
    "min_leaf_count": 5,
    "settled": 0.0,
    "tolerance": 1e-9,
    "max_p": 1.0,
    "min_iv": 0.0,
    "min_group": 5,
}
_NOISE = 3.0
"""Of the made tables: stock trees then stop about as early as they do on real ones."""
_CALIBRATED_ROWS = {"lattice": 64_000, "paillier": 60}
"""Rows of a request that is timed, at most; each is timed with a quarter of its rows, too."""
_REPEATS = 3
"""How often each request is timed; the median counts."""
_LETTER_BYTES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class EngineCosts:
    """CPU seconds of an engine's steps; arrival is what an encryption takes at each passive party."""

    encryption: float = 0.0
    arrival: float = 0.0
    product: float = 0.0
    reply: float = 0.0
    decryption: float = 0.0

    def of_owner(self, plan: Plan, part: Workload) -> float:
        """What the label holder spends on the encrypted sums of a part of a training."""
        return sum(
            steps.encryptions * self.encryption + sum(steps.replies.values()) * self.decryption
            for _, steps in _steps(plan, part)
        )

    def of_parties(self, plan: Plan, part: Workload) -> dict[str, float]:
        """What each passive party spends on them."""
        spent: dict[str, float] = {}
        for sums, steps in _steps(plan, part):
            for party in sums.bins:
                seconds = steps.of_party(party) @ (self.arrival, self.product, self.reply)
                spent[party] = spent.get(party, 0.0) + float(seconds)
        return spent


@dataclass(frozen=True)
class Line:
    """CPU seconds, or bytes, by rows: those at no row, and those of each."""

    start: float
    per_row: float

    @classmethod
    def through(cls, rows: tuple[float, float], values: tuple[float, float]) -> Self:
        """The line through two points, rising and nowhere below zero."""
        per_row = max(0.0, (values[1] - values[0]) / (rows[1] - rows[0])) if rows[1] > rows[0] else 0.0
        return cls(max(0.0, values[0] - per_row * rows[0]), per_row)

    def raised(self, more: float) -> Self:
        """The line that is so much higher everywhere."""
        return replace(self, start=self.start + more)

    def at(self, rows: float) -> float:
        """Its value at so many rows."""
        return self.start + self.per_row * rows


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What contenders took on made tables without encryption: CPU seconds once, and of each round, by rows.

    alignment is what the handshake and the alignment take in so many round trips, and alignment_bytes what they send,
    both by how many ids are blinded.
    """

    once: Mapping[str, Line]
    each: Mapping[str, Line]
    round_trips: int
    alignment: Line
    alignment_bytes: Line


@dataclass(frozen=True, kw_only=True)
class _Spent:
    """The same at one size: CPU seconds, and bytes of the alignment."""

    once: dict[str, float]
    each: dict[str, float]
    alignment: Costs


def engine_costs(plan: Plan) -> EngineCosts:
    """Time the requests of a plan, of fewer rows and at one party; what they cost without encryption is rehearsed."""
    asked = [sums for part in (plan.once, plan.each) for sums in part.sums if sums.bins]
    if plan.packing is None or plan.engine == "plain" or not asked:
        return EngineCosts()
    packing = plan.packing
    owner = new_owner(plan.engine, packing.rows, packing.ranges)
    rng, (low, high) = np.random.default_rng(0), np.array(packing.ranges).T
    timed = [
        (sums, math.ceil(share * min(sums.rows, _CALIBRATED_ROWS[plan.engine])))
        for share, sums in itertools.product((0.25, 1), asked)
    ]
    counted, spent = [], []
    for sums, rows in [timed[0], *_REPEATS * timed]:
        party, bins = max(sums.bins.items(), key=lambda one: one[1].sum())
        request = replace(sums, rows=rows, bins={party: bins}, again=False)
        values = rng.integers(low, high + 1, (request.rows, len(low)))
        places = rng.integers(0, bins + 1, (request.rows, len(bins))).astype(np.uint8)
        steps = steps_of(plan.engine, packing, request)
        # A fresh responder works alone, in this process.
        responder = new_responder(plan.engine, packing.rows, packing.ranges, owner.public_key())
        times = [time.process_time()]
        encrypted, ticket = owner.encrypt(values, request.offsets, [bins])
        times.append(time.process_time())
        reply = responder.sums(encrypted, request.offsets, places, bins)
        times.append(time.process_time())
        owner.decrypt(reply, ticket, bins)
        times.append(time.process_time())
        counted.append(steps.of_party(party))
        spent.append(np.diff(times))
    # The first request warms the engine up.
    at_party = np.array(counted[1 : 1 + len(timed)])
    encrypting, adding, decrypting = np.median(np.array(spent[1:]).reshape(_REPEATS, len(timed), 3), axis=0).T
    (arrival, product, of_reply), _ = nnls(at_party, adding)
    encryptions, _, replies = at_party.sum(axis=0)
    return EngineCosts(
        encryption=float(encrypting.sum() / encryptions),
        arrival=float(arrival),
        product=float(product),
        reply=float(of_reply),
        decryption=float(decrypting.sum() / replies),
    )


def _steps(plan: Plan, part: Workload) -> Iterator[tuple[EncryptedSums, Steps]]:
    for sums in part.sums if plan.packing else ():
        yield sums, steps_of(plan.engine, plan.packing, sums)


def message_seconds() -> float:
    """CPU seconds of a byte of a letter, at its sender, the coordinator and one receiver together."""
    letter = Gradients({"blocks": np.random.default_rng(0).integers(0, 256, _LETTER_BYTES).astype(np.uint8)})
    began = time.process_time()
    packed = pack(letter, Envelope())
    with tempfile.TemporaryFile() as file:
        file.write(to_bytes(packed))
    for receiver in (unpack, unpack):  # the coordinator, and whom the letter is for
        content = encode(receiver(from_bytes(to_bytes(packed)), Gradients))
        hashlib.sha256(content).digest()
    return (time.process_time() - began) / _LETTER_BYTES


def records_seconds(dataset: Dataset) -> dict[str, float]:
    """CPU seconds in which each party reads its records, and computes the features of the label holder's applicants.

    Of the pieces in which a party does that (`clients.parties`) one is timed.
    """
    rows, spent = {dataset.holder: dataset.facts.rows, **dataset.known}, dict[str, float]()
    for name in dataset.parties:
        began = time.process_time()
        party = open_party(dataset.folder / name)
        opened = time.process_time()
        piece = party.ids()[: math.ceil(len(party) * PIECE / max(PIECE, party.records.most_rows))]
        party.matrix(piece)
        computed = time.process_time() - opened
        spent[name] = opened - began + computed * rows[name] / len(piece)
    return spent


def rehearsed_rows(rows: int) -> tuple[int, int]:
    """Rows of the two made tables for a study of so many: what a model takes is read off both, and grows as a line.

    The larger one has two fifths of the rows: of few rows, which fit into caches, each takes less than of many.
    """
    smaller, least, most = REHEARSED_ROWS
    return smaller, min(max(2 * rows // 5, least), most)


def rehearse(config: TrainingConfig, sizes: Sizes, contenders: Sequence[str]) -> Rehearsal:
    """Train the contenders for a few rounds on made tables of two sizes, without encryption, in this process."""
    federated = vertical_contenders()
    imported = dict[str, float]()  # the first contender that needs a library pays for its import
    for name in contenders:
        began = time.process_time()
        import_module(f"experiments.baselines.{name.rpartition('-')[2]}")
        imported[name] = time.process_time() - began
        if name in federated:
            federated[name].half("clients")
    at = tuple(_made(sizes, rows) for rows in rehearsed_rows(sizes.rows))
    short = _with_few_bins(_short(config), sizes)
    spent = tuple(_rehearsed(short, made, contenders) for made in at)

    def line(name: str, part: str) -> Line:
        plans = [plan_of(name, config, made) for made in at]
        rows = [
            made.rows if plan is None else getattr(plan, part).rows
            for plan, made in zip(plans, at, strict=True)
        ]
        return Line.through(tuple(rows), tuple(getattr(one, part)[name] for one in spent))

    ids = tuple(sum(blinded_ids(made).values()) for made in at)
    return Rehearsal(
        once={name: line(name, "once").raised(imported[name]) for name in contenders},
        each={name: line(name, "each") for name in contenders},
        round_trips=spent[0].alignment.round_trips,
        alignment=Line.through(ids, tuple(one.alignment.cpu_seconds for one in spent)),
        alignment_bytes=Line.through(
            ids, tuple(one.alignment.bytes_up + one.alignment.bytes_down for one in spent)
        ),
    )


def blinded_ids(sizes: Sizes) -> dict[str, float]:
    """How many ids each passive party blinds in an alignment, and under an empty name the label holder.

    The label holder's are blinded by itself and by all others, those of another party by that and the label holder.
    """
    rows = sizes.rows
    return {"": rows * (1 + sizes.known_share)} | {
        party: rows * (1 + known) for party, known in sizes.known.items()
    }


def _made(sizes: Sizes, rows: int) -> Sizes:
    """The same columns with other rows, known to everybody."""
    part = rows / sizes.rows
    validation, test = round(part * sizes.validation), round(part * sizes.test)
    return replace(
        sizes,
        training=rows - validation - test,
        validation=validation,
        test=test,
        known=dict.fromkeys(sizes.columns, 1.0),
    )


def _with_few_bins(config: TrainingConfig, sizes: Sizes) -> TrainingConfig:
    """A scorecard of which all columns stay, as they do on made tables, with as many groups in all as on a study's."""
    plan = plan_of("federated-scorecard", config, sizes)
    groups = sum(int((of_party - 1).sum()) for of_party in plan.each.sums[0].bins.values()) if plan else 0
    bins = max(2, round(groups / max(1, sizes.passive_columns)))
    return config.with_section(replace(config.section(ScorecardConfig), bins=bins))


def _short(config: TrainingConfig, most: int | None = None) -> TrainingConfig:
    """The run with `most` rounds of each algorithm, a few by default, and without encryption."""
    rounds = {name: most or few for name, few in _ROUNDS.items()}
    rounds["trees"] *= config.section(BoostingConfig).parallel
    changes = rounds | _PATIENT | {"encryption": "plain"}
    for section in config.sections.values():
        there = {name: value for name, value in changes.items() if hasattr(section, name)}
        config = config.with_section(replace(section, **there))
    return replace(config, study="estimate", seeds=(1,), test_ids="")


def _rehearsed(config: TrainingConfig, sizes: Sizes, contenders: Sequence[str]) -> _Spent:
    federated = vertical_contenders()
    with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
        columns = {party: len(values) for party, values in sizes.columns.items()}
        made = {"bank": sizes.bank_columns, **columns}
        write_tables(Path(folder, "data"), sizes.rows, made, noise=_NOISE)
        parties = ("bank", *sizes.columns)
        config = replace(config, data=f"{folder}/data", parties=parties, state=f"{folder}/state")
        federation = connect(InlineGrid(config), config, ignore)
        exchange, once, each = federation.exchange, dict[str, float](), dict[str, float]()
        alignment, assigned = exchange.costs, assign_roles(federation, 1)
        before = exchange.costs
        train_reserve(federation, assigned, 1, ignore)
        reserve = exchange.costs.since(before).cpu_seconds
        for name in filter(federated.__contains__, contenders):
            began, first = exchange.costs, dict[int, float]()

            def report(event: Progress, began: Costs = began, first: dict[int, float] = first) -> None:
                first.setdefault(event.step, exchange.costs.since(began).cpu_seconds)

            training = Training(contender=name, seed=1, assigned=assigned, config=config, on_progress=report)
            spent = train(federation, training).costs.cpu_seconds
            # What is trained in one step has no round.
            each[name] = (first[max(first)] - first[min(first)]) / max(1, len(first) - 1)
            once[name] = spent - each[name] * _rounds(name, config, sizes)
        joined = read_joined(config, "bank")
        roles = read_roles(config, "bank", 1)
        few, one = (Baselines(joined, roles, 1, _short(config, most)) for most in (None, 1))
        for name in itertools.filterfalse(federated.__contains__, contenders):
            # The shorter training comes first, since what a process does only once belongs to no round.
            first = one.train(name).costs["cpu_seconds"]
            spent = few.train(name).costs["cpu_seconds"]
            if name == RESERVE:  # which the federation trains
                spent = reserve
            rounds = _rounds(name, config, sizes)
            each[name] = max(0.0, spent - first) / (rounds - 1) if rounds else 0.0
            once[name] = spent - rounds * each[name]
        return _Spent(once=once, each=each, alignment=alignment)


def _rounds(contender: str, config: TrainingConfig, sizes: Sizes) -> int:
    """How many rounds a rehearsal has; none where training has none."""
    plan = plan_of(contender, config, sizes)
    return plan.rounds if plan else 0
