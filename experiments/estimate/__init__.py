"""What a study will take, before anything is trained: round trips, megabytes, CPU seconds and minutes.

Round trips, bytes and the numbers of encryptions, products and replies come from the protocols' own formulas
(`fl/workload.py`). What these take on this machine is measured in a few seconds (`calibration`): an engine's steps on
a small request, a message by its bytes, and each model for a few rounds on small made tables without encryption.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import pandas as pd

from experiments.dataset import Dataset
from experiments.estimate.steps import KEY_BYTES, steps_of
from fl.blend import with_members
from fl.config.blend import BlendConfig
from fl.config.run import TrainingConfig
from fl.protocols import vertical_contenders
from fl.reserve import RESERVE
from fl.workload import Plan, Sizes, Workload
from server.training import Trainer


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Wall seconds that a backend takes beside the parties' work (docs/results.md, "Cost of a round trip").

    start is before the parties first answer, round_trip that of each, and megabyte that of each that travels.
    """

    start: float = 0.0
    round_trip: float
    megabyte: float = 0.0


BACKENDS = {
    "inline": Backend(round_trip=0.002),
    "simulation": Backend(start=8.0, round_trip=0.1),
    "deployment": Backend(start=7.0, round_trip=0.6, megabyte=0.067),
}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a contender takes under one seed, or a part of that.

    alone     CPU seconds of work during which nobody else works
    together  those of work that a passive party does alone, and others at the same time, by passive party
    parties   those of encrypted sums, which a passive party shares out among its cores, by passive party
    starts    how often the backend is started
    """

    contender: str
    rounds: int = 0
    round_trips: int = 0
    megabytes: float = 0.0
    alone: float = 0.0
    together: Mapping[str, float] = field(default_factory=dict)
    parties: Mapping[str, float] = field(default_factory=dict)
    starts: int = 0

    def plus(self, other: "Estimate", times: int) -> "Estimate":
        """This, and another so many times."""

        def added(own: Mapping[str, float], others: Mapping[str, float]) -> dict[str, float]:
            return {
                party: own.get(party, 0.0) + times * others.get(party, 0.0) for party in {**own, **others}
            }

        return replace(
            self,
            rounds=self.rounds + times,
            round_trips=self.round_trips + times * other.round_trips,
            megabytes=self.megabytes + times * other.megabytes,
            alone=self.alone + times * other.alone,
            together=added(self.together, other.together),
            parties=added(self.parties, other.parties),
        )

    @property
    def cpu_seconds(self) -> float:
        """All of them."""
        return self.alone + sum(self.together.values()) + sum(self.parties.values())

    def seconds(self, backend: str, cores: int) -> float:
        """Wall seconds on a backend of this machine, when it is idle.

        In one process a party works after the other, and shares its sums out among all cores. Elsewhere they work at
        the same time; in simulation each shares its sums out among its part of the cores.
        """
        takes, together, parties = BACKENDS[backend], [*self.together.values()], [*self.parties.values()]
        waited, shared = sum(together), sum(parties) / cores
        if backend != "inline":
            waited = max(waited / cores, *together, 0.0)
        if backend == "simulation":
            shared = max(shared, max(parties, default=0.0) / max(1, cores // max(1, len(parties))))
        messages = takes.round_trip * self.round_trips + takes.megabyte * self.megabytes
        return self.starts * takes.start + self.alone + waited + shared + messages

    def row(self) -> dict[str, str | float]:
        """Its row of the table."""
        cores = os.cpu_count() or 1
        return {
            "contender": self.contender,
            "rounds": self.rounds,
            "round_trips": self.round_trips,
            "megabytes": self.megabytes,
            "cpu_seconds": self.cpu_seconds,
            **{backend: self.seconds(backend, cores) / 60 for backend in BACKENDS},
        }


def sizes_of(dataset: Dataset, config: TrainingConfig) -> Sizes:
    """The sizes of a study on a dataset, with rows by the shares that the settings ask for."""
    rows = dataset.facts.rows
    if config.test_ids:
        with open(config.test_ids, encoding="utf-8") as file:
            test = sum(1 for line in file if line.strip())
        validation = round(config.validation_share * (rows - test))
    else:
        test, validation = round(config.test_share * rows), round(config.validation_share * rows)
    columns = dict(dataset.values)
    return Sizes(
        training=rows - test - validation,
        validation=validation,
        test=test,
        bank_columns=len(columns.pop(dataset.holder)),
        columns=columns,
        known={party: count / rows for party, count in dataset.known.items()},
    )


def plan_of(contender: str, config: TrainingConfig, sizes: Sizes) -> Plan | None:
    """What the protocol of a contender's algorithm says of its training; None if no protocol trains by it."""
    conversation = vertical_contenders().get(f"federated-{contender.rpartition('-')[2]}")
    return None if conversation is None else cast(Trainer, conversation.half("server")).plan(config, sizes)


def megabytes(plan: Plan, rounds: float) -> float:
    """What travels in a training of so many rounds."""
    parties = max((len(sums.bins) for sums in plan.each.sums), default=0)
    keys = plan.keys * KEY_BYTES.get(plan.engine, 0) * (1 + parties)
    return (keys + _bytes(plan, plan.once) + rounds * _bytes(plan, plan.each)) / 1e6


def estimates(dataset: Dataset, config: TrainingConfig, contenders: Iterable[str]) -> pd.DataFrame:
    """What the alignment and every contender take under one seed, and all of them under all seeds.

    The columns are contender, rounds, round_trips, megabytes, cpu_seconds, and minutes by the name of a backend. Below
    a contender that is trained in rounds of messages stands what one round takes. A contender of which nothing is
    known is left out.
    """
    # Not above: what every study logs of its estimate needs none of it.
    from experiments.estimate.calibration import (
        blinded_ids,
        engine_costs,
        message_seconds,
        records_seconds,
        rehearse,
    )

    sizes = sizes_of(dataset, config)
    contenders = with_members(contenders, config.section(BlendConfig).members)
    if not vertical_contenders().keys().isdisjoint(contenders):
        contenders = dict.fromkeys((RESERVE, *contenders))  # which every federation trains
    plans = {name: plan_of(name, config, sizes) for name in contenders}
    names = [name for name, plan in plans.items() if plan or name.endswith("-trees")]
    rehearsal, per_byte = rehearse(config, sizes, names), message_seconds()
    ids, records = blinded_ids(sizes), records_seconds(dataset)
    of_all = sum(ids.values())
    blinding = {party: rehearsal.alignment.at(of_all) * count / of_all for party, count in ids.items()}
    alignment = Estimate(
        contender="start, alignment",
        round_trips=rehearsal.round_trips,
        megabytes=rehearsal.alignment_bytes.at(of_all) / 1e6,
        alone=blinding.pop("") + records[dataset.holder],
        together={party: spent + records[party] for party, spent in blinding.items()},
        starts=1,
    )
    found: list[tuple[Estimate, Estimate | None]] = []
    for name in names:
        plan, once, each = plans[name], rehearsal.once[name], rehearsal.each[name]
        if plan is None:
            found.append((Estimate(contender=name, alone=once.at(sizes.rows)), None))
            continue
        start, of_round = once.at(plan.once.rows), each.at(plan.each.rows)
        if name not in vertical_contenders():
            alone = start + plan.rounds * of_round
            found.append((Estimate(contender=name, rounds=plan.rounds, alone=alone), None))
            continue
        costs = engine_costs(plan)
        once_moved = megabytes(plan, 0)
        begun, one = (
            Estimate(
                contender=name,
                round_trips=part.round_trips,
                megabytes=moved,
                # Bytes count at sender and receiver.
                alone=spent + per_byte * moved * 1e6 / 2 + costs.of_owner(plan, part),
                parties=costs.of_parties(plan, part),
            )
            for part, moved, spent in (
                (plan.once, once_moved, start),
                (plan.each, megabytes(plan, 1) - once_moved, of_round),
            )
        )
        line_of_round = replace(one, contender="  each round") if plan.rounds else None
        found.append((begun.plus(one, plan.rounds), line_of_round))
    whole = alignment
    for one, _ in found:
        whole = whole.plus(one, len(config.seeds))
    return pd.DataFrame(
        [
            alignment.row(),
            *(line.row() for both in found for line in both if line is not None),
            replace(whole, contender="in all", rounds=0).row(),
        ]
    )


def _bytes(plan: Plan, part: Workload) -> float:
    """All that travels in a part of a training; each letter counts at its sender and at each receiver."""
    total = part.letters
    for sums in part.sums if plan.packing else ():
        steps = steps_of(plan.engine, plan.packing, sums)
        total += steps.encrypted_bytes * (1 + len(sums.bins)) + 2 * steps.reply_bytes
        if sums.masked:  # 64 bits of each sum come back
            total += 2 * 8 * sums.groups * sum(int(bins.sum()) for bins in sums.bins.values())
    return total
