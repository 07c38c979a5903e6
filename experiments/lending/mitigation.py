"""What it costs to treat groups more alike: a cut-off for each group, or a model that was trained on reweighed rows.

Both change the challenger only, and each is compared with the challenger as it is. A cut-off for each group changes
whom a model approves and not how it ranks within a group; the ranking that it amounts to is that of the distances from
the cut-offs, in log odds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from experiments.lending.cases import Applicants, Case
from experiments.lending.decisions import choose_cutoff, decide, group_cutoffs, profit
from experiments.lending.fairness import LEAST_GROUP
from experiments.lending.intervals import over_cases
from experiments.lending.policy import Policy
from fl import metrics
from fl.metrics.checks import Floats

MEASURES = {
    "approval_ratio": "approval rate, lowest group to highest",
    "true_positive_ratio": "good payers approved, lowest group to highest",
    "approval_rate": "approval rate",
    "bad_rate": "bad rate of the approved",
    "expected_profit": "expected profit per applicant",
    "realised_profit": "realised profit per applicant",
    "gini": "Gini of the ranking",
}
_EDGE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Mitigation:
    """One way to treat the groups of a segment more alike, with all that it takes from validation rows.

    policy      the lending policy with the cut-off of the challenger as it is
    mitigated   the same with the cut-off that the mitigated model has; cutoffs has that of a group, where it differs
    reweighed   whether the model is the reweighed one
    groups      those that have enough validation rows and test applicants
    """

    title: str
    segment: str
    policy: Policy
    mitigated: Policy
    reweighed: bool
    cutoffs: Mapping[str, float]
    groups: tuple[str, ...]


def mitigations_of(case: Case, policy: Policy, reweigh: str) -> list[Mitigation]:
    """What the policy and the setting `boosting.reweigh` ask for; the latter is empty without a reweighed model."""
    rows = case.validation
    own = choose_cutoff(rows.labels, rows.challenger, rows.cash_flow, policy)
    asked = []
    if policy.groups:
        groups = _large_groups(case, policy.groups)
        cutoffs = group_cutoffs(rows.labels, rows.challenger, rows.segments[policy.groups], own, groups)
        title = f"a cut-off for each {policy.groups}, for equal {policy.equal.replace('-', ' ')}s"
        asked.append(
            Mitigation(
                title=title,
                segment=policy.groups,
                policy=own,
                mitigated=own,
                reweighed=False,
                cutoffs=cutoffs,
                groups=groups,
            )
        )
    if reweigh and rows.reweighed is not None:
        mitigated = choose_cutoff(rows.labels, rows.reweighed, rows.cash_flow, policy)
        asked.append(
            Mitigation(
                title=f"training rows reweighed by {reweigh}",
                segment=reweigh,
                policy=own,
                mitigated=mitigated,
                reweighed=True,
                cutoffs={},
                groups=_large_groups(case, reweigh),
            )
        )
    return asked


def measure_mitigations(cases: list[Case], policy: Policy, reweigh: str) -> pd.DataFrame:
    """What each mitigation changes: index (mitigation, measure), columns before, after, change, low and high.

    Means and intervals are as of `intervals.over_cases`; the frame is empty if none is asked for.
    """
    asked = [mitigations_of(case, policy, reweigh) for case in cases]
    if not any(asked):
        return pd.DataFrame(columns=["before", "after", "change", "low", "high"])
    return over_cases(cases, [partial(_effects, mitigations=of_case) for of_case in asked])


def _effects(case: Case, mitigations: list[Mitigation]) -> pd.DataFrame:
    frames = {}
    for one in mitigations:
        test = case.test
        groups = test.segments[one.segment]
        cutoff = np.full(len(test), one.mitigated.maximum_pd)
        for group, of_group in one.cutoffs.items():
            cutoff[groups == group] = of_group
        pds = test.reweighed if one.reweighed else test.challenger
        assert pds is not None
        frame = pd.DataFrame(
            {
                "before": _outcome(
                    test,
                    test.challenger,
                    np.full(len(test), one.policy.maximum_pd),
                    one.policy,
                    groups,
                    one.groups,
                ),
                "after": _outcome(test, pds, cutoff, one.mitigated, groups, one.groups),
            }
        )
        frames[one.title] = frame.assign(change=frame["after"] - frame["before"])
    return pd.concat(frames, names=["mitigation", "measure"])


def _outcome(
    test: Applicants,
    pds: Floats,
    cutoff: Floats,
    policy: Policy,
    of_row: NDArray[np.str_],
    groups: tuple[str, ...],
) -> dict[str, float]:
    """The measures under cut-offs (n,)."""
    decision = decide(pds, test.cash_flow, policy, cutoff)
    approved, good = decision.approved, test.labels == 0
    # Where nobody is approved, there is nothing to compare.
    limits = logit(np.clip(cutoff, _EDGE, 1 - _EDGE))
    return {
        "approval_ratio": _lowest_to_highest([approved[of_row == group] for group in groups]),
        "true_positive_ratio": _lowest_to_highest([approved[(of_row == group) & good] for group in groups]),
        "approval_rate": float(approved.mean()),
        "bad_rate": float(test.labels[approved].mean()) if approved.any() else np.nan,
        "expected_profit": float(profit(decision, pds, policy).mean()),
        "realised_profit": float(profit(decision, test.labels, policy).mean()),
        "gini": metrics.gini(test.labels, logit(np.clip(pds, _EDGE, 1 - _EDGE)) - limits),
    }


def _lowest_to_highest(parts: list[NDArray[np.bool_]]) -> float:
    rates = [part.mean() for part in parts if len(part)]
    return float(min(rates) / max(rates)) if rates and max(rates) > 0 else np.nan


def _large_groups(case: Case, segment: str) -> tuple[str, ...]:
    """The groups of a segment that have enough applicants, in validation and in test."""
    counts = [pd.Series(part.segments[segment]).value_counts() for part in (case.validation, case.test)]
    enough = pd.concat(counts, axis=1).fillna(0).min(axis=1) >= LEAST_GROUP
    return tuple(sorted(str(group) for group in enough.index[enough]))
