"""Two models of the same applicants, and all that a lending decision needs to know about the applicants."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from clients.data.declaration import read_declaration
from clients.parties import party_type
from experiments.dataset import Dataset
from experiments.joined import has_truth, read_true_pd
from experiments.lending.policy import CashFlow
from experiments.study import FinishedStudy
from fl.splits import TEST, VALIDATION

FIRST_TIME, ON_PLATFORM = "first-time borrowers", "supply-chain firms"
"""The groups that a report looks at besides all applicants, where the data tell who belongs to them."""
_SEGMENT, _LEVEL = "first_time_borrower", "yes"


@dataclass(frozen=True)
class Applicants:
    """Some rows of a study: labels int8 (n,), mean monthly cash flow (n,) in CNY, and the PDs (n,) under both models.

    groups says by the name of a group who belongs to it: bool (n,). segments are the levels by which fairness is
    measured, text (n,) by the name of a segment or sensitive column of the bank. true_pd (n,) is there in a simulated
    economy that has it, and reweighed (n,), the PDs under the challenger when it is trained on reweighed rows, if the
    report tries that.
    """

    labels: NDArray[np.int8]
    cash_flow: NDArray[np.float64]
    groups: Mapping[str, NDArray[np.bool_]]
    reference: NDArray[np.float64]
    challenger: NDArray[np.float64]
    segments: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    true_pd: NDArray[np.float64] | None = None
    reweighed: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def pds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The PDs (n,) under the reference and under the challenger."""
        return self.reference, self.challenger

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> "Applicants":
        """The applicants of these rows, in their order."""
        return Applicants(
            self.labels[rows],
            self.cash_flow[rows],
            {name: member[rows] for name, member in self.groups.items()},
            self.reference[rows],
            self.challenger[rows],
            {name: levels[rows] for name, levels in self.segments.items()},
            None if self.true_pd is None else self.true_pd[rows],
            None if self.reweighed is None else self.reweighed[rows],
        )


@dataclass(frozen=True)
class Case:
    """The applicants of one economy and both models of them under one seed; economy is 0 for a user's own data."""

    economy: int
    seed: int
    validation: Applicants
    test: Applicants

    def resampled(self, rows: NDArray[np.int_]) -> "Case":
        """The case with these of its test applicants."""
        return replace(self, test=self.test.take(rows))


def read_cases(
    dataset: Dataset,
    study: FinishedStudy,
    pair: tuple[str, str],
    cash_flow: CashFlow,
    economy: int = 0,
    reweighed: Mapping[int, NDArray[np.float64]] | None = None,
) -> list[Case]:
    """A case for every seed of a study, which has both contenders of `pair`: reference and challenger.

    reweighed has the PDs (n,) under the reweighed challenger by seed, if there is one. Raises ConfigError when the bank
    has no column of the cash flow's name.
    """
    joined = study.joined
    groups = {}
    if _SEGMENT in joined.segments:
        groups[FIRST_TIME] = joined.segments[_SEGMENT] == _LEVEL
    for folder in dataset.parties:
        declared = read_declaration(dataset.folder / folder)
        if party_type(declared.type).is_platform and declared.name in joined.coverage:
            groups[ON_PLATFORM] = joined.coverage[declared.name]
    flow = cash_flow.of(joined.tables[joined.holder])
    segments = {**joined.applications.segments, **joined.sensitive}
    true_pd = read_true_pd(dataset.folder, joined.applications.ids) if has_truth(dataset.folder) else None
    cases = []
    for seed, roles in study.roles.items():
        reference, challenger = (study.pds[name, seed] for name in pair)
        mitigated = reweighed[seed] if reweighed else None
        everybody = Applicants(
            joined.labels, flow, groups, reference, challenger, segments, true_pd, mitigated
        )
        cases.append(Case(economy, seed, everybody.take(roles == VALIDATION), everybody.take(roles == TEST)))
    return cases
