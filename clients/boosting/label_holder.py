"""What the bank does in boosting: it has labels, so it makes gradients, chooses splits and keeps the trees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_coverage, read_table
from clients.binned import read_setup, set_up
from clients.evaluation import keep_scores
from clients.forests import BankModel, ToldReasons, bank_model, log_odds, training_data
from clients.session import Session
from clients.store import Store
from fl.arrays import check_bytes, check_names
from fl.boosting import (
    ANOTHER,
    NOBODY,
    THE_BANK,
    YOU,
    BeginRequest,
    Choice,
    Columns,
    Demanded,
    Ended,
    Gradients,
    Kept,
    Keys,
    Level,
    Members,
    Outcomes,
    Reasons,
    ScoreRequest,
    SplitRequest,
    Sums,
    Task,
    packed,
    unpacked,
)
from fl.boosting.forest import LEAF
from fl.boosting.gradients import most_entries, ranges, sampled_columns
from fl.boosting.growing import Grower
from fl.boosting.growth import Answer, Data, Demand, Growth, Passive, Resolved
from fl.boosting.layouts import Layout, summed_columns, wanted_sums
from fl.boosting.padding import (
    KEY_BYTES,
    Bits,
    PadSecret,
    PadUse,
    choices,
    combined,
    mask,
    new_seed,
    within,
)
from fl.config.boosting import BoostingConfig
from fl.encrypted_sums import Owner, new_owner, restore_owner
from fl.errors import ProtocolError
from fl.evaluation import Fit, Scored
from fl.explanation import check_texts
from fl.messages import Letter
from fl.records import Array
from fl.splits import TEST


@dataclass(frozen=True)
class OwnerKey:
    """The bank's secret key of the encryption."""

    secret: Mapping[str, Array]


@dataclass(frozen=True)
class PassiveColumns:
    """What each passive party has told of its columns, by name."""

    columns: Mapping[str, Columns]


@dataclass(frozen=True)
class BankState:
    """What the bank keeps between demands.

    ticket   of the last encryption (`fl/encrypted_sums`)
    entries  int64 (n,): which entry of a round's encryption counts for each row, where rows are encrypted one by one
    """

    growth: Growth
    ticket: Mapping[str, Array]
    entries: NDArray[np.int64]


def begin(session: Session, request: BeginRequest) -> Demanded:
    """Bin the bank's columns, make keys, and ask for the first sums."""
    coverage = read_coverage(session.study)
    check_names("columns", request.columns, coverage)
    columns = {party: request.columns[party].read(Columns) for party in coverage}
    config = session.config.section(BoostingConfig)
    set_up(session, request.seed, request.split, config.bins, config.min_bin_count)
    keys = make_keys(session, columns) if columns else None
    session.store.keep(PassiveColumns(columns))
    grower, demand = Grower.begin(read_data(session), config)
    bank = Bank(session, grower)
    demanded = bank.demanded(demand, None, keys)
    session.keep(bank.state)
    return demanded


def split(session: Session, request: SplitRequest) -> Demanded | Ended:
    """Take where rows went, and sums; finish a round where that is due, choose the next splits."""
    state = session.state(BankState)
    grower = Grower(read_data(session), session.config.section(BoostingConfig), state.growth)
    bank = Bank(session, grower, state)
    resolved = grower.resolve(bank.members(request.members))
    if resolved.fit is not None and resolved.ended:
        kept = bank.end()
        session.keep(None)
        return Ended(kept=kept, trees=bank.trees, fit=resolved.fit)
    demanded = bank.demanded(grower.advance(bank.answers(resolved, request.sums)), resolved.fit, None)
    session.keep(bank.state)
    return demanded


def score(session: Session, request: ScoreRequest) -> Scored:
    """Keep the PD of every position by the final forest, and evaluate those of the test rows."""
    return score_all(session, request.outcomes, request.reasons)


def make_keys(session: Session, columns: Mapping[str, Columns]) -> Keys:
    """Fresh keys of the encryption and the pads, for the passive parties' columns by name; the secret ones are kept."""
    config, training = session.config.section(BoostingConfig), read_setup(session).training
    owner = new_owner(config.encryption, most_entries(training, config), ranges(config))
    session.store.keep(OwnerKey(owner.secret()))
    return Keys(sums=owner.public_key(), pad=_new_pad_key(session, columns))


def score_all(
    session: Session, letters: Mapping[str, Letter[Outcomes]], reasons: Mapping[str, Letter[Reasons]]
) -> Scored:
    """The same, by what the passive parties have told."""
    setup, coverage = read_setup(session), read_coverage(session.study)
    model, test = session.store.read(BankModel), np.flatnonzero(setup.roles == TEST)
    outcomes = {party: letter.read(Outcomes) for party, letter in letters.items()}
    session.store.keep(_told_reasons(session, reasons))
    table = read_table(session.study).take(test)
    scores = np.empty(len(setup.roles))
    scores[setup.positions] = model.calibration.log_odds(model.scores)
    scores[test] = log_odds(session.store, table, coverage, outcomes, session.config)
    # How much the columns of each party gain, by number: party, column, splits and gain, best first.
    columns = dict(model.forest.importance())
    parties = np.array([session.declaration.name, *coverage], np.str_)
    importance = {"party": parties[columns.pop("owner")], **columns}
    return keep_scores(session, scores, setup.roles, {"importance": importance})


def _new_pad_key(session: Session, columns: Mapping[str, Columns]) -> NDArray[np.uint8] | None:
    """The public key of the bank's pads, if passive parties need each other's sides; the secret one is kept."""
    if not session.config.section(BoostingConfig).sealed_sides or len(columns) < 2:
        return None
    given = {party: about.pad_key for party, about in columns.items() if about.pad_key is not None}
    check_names("pad keys", given, columns)
    for party, key in given.items():
        check_bytes(f"pad key of {party}", key, (KEY_BYTES,))
    secret = PadSecret.new()
    session.store.keep(secret)
    return secret.public_key


def _told_reasons(session: Session, letters: Mapping[str, Letter[Reasons]]) -> ToldReasons:
    """What each passive party tells of its columns. Raises ProtocolError for texts that cannot be kept."""
    columns = session.store.read(PassiveColumns).columns
    check_names("reasons", letters, columns)
    reasons = {party: letters[party].read(Reasons) for party in columns}
    for party, told in reasons.items():
        for name, texts in vars(told).items():
            check_texts(f"{name} of {party}", texts, len(columns[party].shape))
    return ToldReasons(reasons)


def read_data(session: Session) -> Data:
    """What the bank's forest is grown on, once the passive parties' columns are kept."""
    setup, coverage = read_setup(session), read_coverage(session.study)
    columns = session.store.read(PassiveColumns).columns
    passive = [
        Passive(party, about.shape, coverage[party][setup.positions]) for party, about in columns.items()
    ]
    return training_data(session, passive)


class _PaddedSplit(NamedTuple):
    """A passive party's split of a node: the bins that go left, and their pad under the mask, uint8 (⌈n/8⌉,)."""

    node: int
    choice: Choice
    pad: Bits


class Bank:
    """Between the bank's grower and its messages, at one request; state is that after the last one."""

    def __init__(self, session: Session, grower: Grower, state: BankState | None = None) -> None:
        self._session, self._store = session, session.store
        self._grower, self._passive = grower, grower.data.passive
        self._ticket = state.ticket if state else {}
        self._entries = state.entries if state else np.empty(0, np.int64)

    @property
    def state(self) -> BankState:
        """What is to be kept for the next request."""
        return BankState(self._grower.growth, self._ticket, self._entries)

    @property
    def trees(self) -> int:
        """How many trees are finished."""
        return self._grower.config.trees_after(self._grower.growth.round)

    def members(self, letters: Mapping[str, Letter[Members]]) -> dict[str, NDArray[np.bool_]]:
        """Where each passive party's splits send the rows of their nodes, (p, n)."""
        (trees, rows), members = self._grower.growth.nodes.shape, {}
        check_names("members", letters, [party.name for party in self._passive])
        for name, letter in letters.items():
            bits = letter.read(Members).left
            check_bytes(f"members of {name}", bits, (trees, -(-rows // 8)))
            members[name] = unpacked(bits, rows)
        return members

    def answers(self, resolved: Resolved, letters: Mapping[str, Letter[Sums]]) -> list[Answer]:
        """The sums, candidates and homes of the passive parties, opened and checked; none if none were wanted."""
        if resolved.layout is None or not self._passive:
            return []
        check_names("sums", letters, [party.name for party in self._passive])
        layout, ticket, owner = resolved.layout, self._ticket, self._owner
        if owner.row_wise:
            if self._grower.growth.ahead:
                self._entries = np.zeros(len(self._grower.data.labels), np.int64)
                self._entries[layout.rows] = np.flatnonzero(resolved.counted)
            ticket = owner.regroup(ticket, self._entries[layout.rows], layout.offsets)
        return [
            self._answer(party, letters[party.name].read(Sums), totals, layout, ticket)
            for party, totals in zip(self._passive, resolved.totals, strict=True)
        ]

    def _answer(
        self,
        party: Passive,
        told: Sums,
        totals: NDArray[np.int64],
        layout: Layout,
        ticket: Mapping[str, Array],
    ) -> Answer:
        """One party's; totals (sums, 2) of the layout are those of all its bins."""
        growth, shape = self._grower.growth, party.shape
        columns, bins = self._summed_columns(party, growth.round)
        nodes = len(layout.trees) * (1 if growth.ahead else 2)
        check_bytes(f"homes of {party.name}", told.homes, (nodes, len(shape), shape.width))
        homes = told.homes.astype(np.int64)
        of_sums = homes if growth.ahead else homes[::2]
        if (homes >= shape.bins[:, None]).any() or not (growth.ahead or np.array_equal(of_sums, homes[1::2])):
            raise ProtocolError(f"homes of {party.name} must be bins of its columns, the same in siblings")
        wanted = layout.by_group(wanted_sums(of_sums, columns[layout.trees], bins, shape))
        opened = self._owner.decrypt(told.sums, ticket, np.tile(bins, len(layout.samples)), wanted)
        sums = np.zeros((len(totals), len(shape), shape.width, 2), np.int64)
        everyone = np.arange(len(totals))
        for place, told_bins in enumerate(bins):
            of_place, column = np.concatenate(opened[place :: len(bins)]), columns[layout.trees, place]
            sums[everyone, column, :told_bins] = of_place
            # A column's last bin is not told: it is the rest.
            sums[everyone, column, shape.bins[column] - 1] += totals - of_place.sum(axis=1)
        size = len(shape) * shape.width * 4
        check_bytes(f"candidates of {party.name}", told.candidates, (nodes, -(-size // 8)))
        candidates = unpacked(told.candidates, size).reshape(nodes, len(shape), shape.width, 2, 2)
        return Answer(sums=sums, candidates=candidates, homes=homes)

    def demanded(self, demand: Demand, fit: Fit | None, keys: Keys | None) -> Demanded:
        """Put the demand in a message, the first one with the public keys."""
        wanted = demand.layout is not None
        gradients = Letter.of(Gradients(self._encrypted(demand))) if wanted and self._passive else None
        # With the last splits of a round nobody but the bank has to know where its own sent rows.
        left = np.zeros_like(demand.left) if demand.ahead else demand.left
        task = Task(
            round=demand.round,
            ahead=demand.ahead,
            wanted=wanted,
            lighter_left=demand.lighter_left,
            bank_left=packed(left),
            keys=keys,
        )
        padded = self._padded_splits(demand)
        levels = {
            party.name: self._level(demand, number, padded)
            for number, party in enumerate(self._passive, start=1)
        }
        return Demanded(
            task=Letter.of(task),
            levels={party: Letter.of(level) for party, level in levels.items()},
            gradients=gradients,
            # These are not told where other passive parties' splits send rows.
            waits=tuple(
                party
                for party, level in levels.items()
                if wanted and level.pad is None and (level.owners == ANOTHER).any()
            ),
            chosen=tuple(split.choice for split in padded),
            trees=self.trees,
            fit=fit,
        )

    def end(self) -> dict[str, Letter[Kept]]:
        """Keep the best forest as the model, calibrated, and tell the parties how many of their splits it has."""
        model = bank_model(self._grower)
        self._store.keep(model)
        # Whoever kept a training's ciphertexts or padded sides shall not be able to have them opened later.
        for secret in (OwnerKey, PadSecret):
            self._store.remove(secret)
        counts = zip(self._passive, model.kept[1:].tolist(), strict=True)
        return {party.name: Letter.of(Kept(count)) for party, count in counts}

    def _encrypted(self, demand: Demand) -> Mapping[str, Array]:
        """The numbers of a demand; none where the parties have those of the round, and only need to group them anew."""
        assert demand.layout is not None
        if self._owner.row_wise and not demand.ahead:
            return {}
        samples = len(demand.layout.samples)
        bins = [np.tile(self._summed_columns(party, demand.round)[1], samples) for party in self._passive]
        encrypted, self._ticket = self._owner.encrypt(demand.values, demand.layout.offsets, bins)
        return encrypted

    def _level(self, demand: Demand, number: int, padded: Sequence[_PaddedSplit]) -> Level:
        """What the passive party of that number is told of the nodes."""
        name = self._passive[number - 1].name
        others = [split for split in padded if split.choice.party != name]
        pad: Bits | None = None
        if others:
            nodes = np.array([split.node for split in others])
            pad = within(np.stack([split.pad for split in others]), demand.nodes, nodes)
        return Level(owners=_as_told(demand.owners, number), splits=demand.splits[name], pad=pad)

    def _padded_splits(self, demand: Demand) -> list[_PaddedSplit]:
        """The passive parties' splits in the order of the nodes; none if nobody needs them, or they are not padded."""
        if demand.layout is None or not self._store.has(PadSecret):
            return []
        secret, columns = self._store.read(PadSecret), self._store.read(PassiveColumns).columns
        padded = []
        for number, party in enumerate(self._passive, start=1):
            nodes, key = np.flatnonzero(demand.owners == number), columns[party.name].pad_key
            if len(nodes) and key is not None:
                chosen = choices(party.shape.bins, demand.splits[party.name])
                envelope, keys = self._session.envelope, {party.name: key, self._name: secret.public_key}
                use = PadUse(study=envelope.study, model=envelope.model, keys=keys)
                pads = combined(secret.pad(use, party.name, party.shape.bins, demand.nodes.shape[1]), chosen)
                for node, rows, pad in zip(nodes, chosen, pads, strict=True):
                    choice = Choice(party.name, rows, new_seed())
                    covered = pad ^ mask(choice.seed, demand.nodes.shape[1])
                    padded.append(_PaddedSplit(int(node), choice, covered))
        return sorted(padded, key=lambda split: split.node)

    @property
    def _name(self) -> str:
        return self._session.declaration.name

    def _summed_columns(self, party: Passive, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What a passive party adds up in a round; see `summed_columns`."""
        config, seed = self._grower.config, self._grower.data.seed
        trees, share = config.trees_of(number), config.column_share
        used = sampled_columns(len(party.shape), party.name, seed, trees, share)
        return summed_columns(used, party.shape.bins)

    @property
    def _owner(self) -> Owner:
        return _owner(self._store.folder, self._grower.config.encryption)


def _as_told(owners: NDArray[np.int16], number: int) -> NDArray[np.int8]:
    """Who splits each node, as the passive party of that number may know it."""
    conditions = [owners == LEAF, owners == 0, owners == number]
    return np.select(conditions, [NOBODY, THE_BANK, YOU], ANOTHER).astype(np.int8)


# The same at every message of a model: a key takes longer to load than a reply to decrypt.
@lru_cache(maxsize=2)
def _owner(model: Path, engine: str) -> Owner:
    return restore_owner(engine, Store(model).read(OwnerKey).secret)
