"""What the alignment and every contender of a study take: round trips, megabytes, CPU seconds and minutes."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from experiments.dataset import Dataset
from experiments.estimate.calibration import (
    Rehearsal,
    blinded_ids,
    engine_costs,
    message_seconds,
    records_seconds,
    rehearse,
)
from experiments.estimate.formulas import megabytes, plan_of, sizes_of
from fl.blend import with_members
from fl.config.blend import BlendConfig
from fl.config.run import TrainingConfig
from fl.protocols import vertical_contenders
from fl.reserve import RESERVE
from fl.workload import Plan, Sizes


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Wall seconds that a backend takes beside the parties' work (docs/results.md, "Cost of a round trip").

    start is before the parties first answer, round_trip and megabyte that of each. A round trip with all its work takes
    `least`: Flower's Simulation Engine looks for replies ten times a second, so half of that is waited for on average.
    """

    start: float = 0.0
    round_trip: float
    least: float = 0.0
    megabyte: float = 0.0


BACKENDS = {
    "inline": Backend(round_trip=0.002),
    "simulation": Backend(start=8.0, round_trip=0.05, least=0.1),
    "deployment": Backend(start=7.0, round_trip=0.6, megabyte=0.067),
}

STARTED, EVALUATED = 7.0, 0.65
"""CPU seconds of a command until it starts a backend, and of a model's evaluation with its figures."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a contender takes under one seed, or a part of that.

    alone     CPU seconds of work during which nobody else works
    together  those of work that a party does alone, and others at the same time, by party
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
        work = self.alone + waited + shared + takes.megabyte * self.megabytes
        trips = max(takes.least * self.round_trips, work + takes.round_trip * self.round_trips)
        return self.starts * takes.start + trips

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


def estimates(dataset: Dataset, config: TrainingConfig, contenders: Iterable[str]) -> pd.DataFrame:
    """What the alignment, every contender and the evaluation take under one seed, and the command under all seeds.

    The columns are contender, rounds, round_trips, megabytes, cpu_seconds, and minutes by the name of a backend. Below
    a contender that is trained in rounds of messages stands what one round takes. A contender of which nothing is
    known is left out.
    """
    sizes = sizes_of(dataset, config)
    contenders = with_members(contenders, config.section(BlendConfig).members)
    if not vertical_contenders().keys().isdisjoint(contenders):
        contenders = dict.fromkeys((RESERVE, *contenders))  # which every federation trains
    plans = {name: plan_of(name, config, sizes) for name in contenders}
    known = {name: plan for name, plan in plans.items() if plan or name.endswith("-trees")}
    rehearsal, per_byte = rehearse(config, sizes, [*known]), message_seconds()
    alignment = _alignment(dataset, sizes, rehearsal)
    lines, whole = [alignment], alignment
    for name, plan in known.items():
        if plan is not None and name in vertical_contenders():
            begun, each = _federated(name, plan, rehearsal, per_byte)
            one = begun.plus(each, plan.rounds)
            lines += [one, replace(each, contender="  each round")] if plan.rounds else [one]
        else:
            one = _pooled(name, plan, sizes, rehearsal)
            lines.append(one)
        whole = whole.plus(one, len(config.seeds))
    evaluation = Estimate(contender="evaluation, figures", alone=EVALUATED * len(plans))
    lines.append(evaluation)
    whole = whole.plus(evaluation, len(config.seeds))
    return pd.DataFrame([line.row() for line in (*lines, replace(whole, contender="in all", rounds=0))])


def _alignment(dataset: Dataset, sizes: Sizes, rehearsal: Rehearsal) -> Estimate:
    """What passes before any training: all starts, each party reads its records, they find the ids in common."""
    ids, records = blinded_ids(sizes), records_seconds(dataset)
    of_all = sum(ids.values())
    blinding = {party: rehearsal.alignment.at(of_all) * count / of_all for party, count in ids.items()}
    return Estimate(
        contender="start, alignment",
        round_trips=rehearsal.round_trips,
        megabytes=rehearsal.alignment_bytes.at(of_all) / 1e6,
        alone=STARTED + blinding.pop(""),
        together={party: spent + blinding.get(party, 0.0) for party, spent in records.items()},
        starts=1,
    )


def _federated(name: str, plan: Plan, rehearsal: Rehearsal, per_byte: float) -> tuple[Estimate, Estimate]:
    """What comes once in a training by messages, and what in each round; a byte takes so many CPU seconds."""
    costs, once_moved = engine_costs(plan), megabytes(plan, 0)
    begun, each = (
        Estimate(
            contender=name,
            round_trips=part.round_trips,
            megabytes=moved,
            # Bytes count at sender and receiver.
            alone=line.at(part.rows) + per_byte * moved * 1e6 / 2 + costs.of_owner(plan, part),
            parties=costs.of_parties(plan, part),
        )
        for part, moved, line in (
            (plan.once, once_moved, rehearsal.once[name]),
            (plan.each, megabytes(plan, 1) - once_moved, rehearsal.each[name]),
        )
    )
    return begun, each


def _pooled(name: str, plan: Plan | None, sizes: Sizes, rehearsal: Rehearsal) -> Estimate:
    """What a training without messages takes, on the bank's own table or the pooled one; stock trees have no plan."""
    once, each = rehearsal.once[name], rehearsal.each[name]
    if plan is None:
        return Estimate(contender=name, alone=once.at(sizes.rows))
    alone = once.at(plan.once.rows) + plan.rounds * each.at(plan.each.rows)
    return Estimate(contender=name, rounds=plan.rounds, alone=alone)
