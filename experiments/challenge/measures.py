"""How two models differ on the same applicants: order, decisions, profit, and what is known of the outcomes.

Both decide under one lending policy: each at its own cut-off, which the policy chooses on the validation rows of the
model's own training, and at equal approval, where the challenger approves as many as the champion at its own cut-off.
Where equal PDs are at the cut-off, all of them are approved in part (`fl.metrics.approval_weights`), so that the
approvals are equal.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from experiments.challenge.inference import Floats, Sample
from experiments.lending.decisions import decide, profit
from experiments.lending.policy import Policy
from fl import metrics
from fl.metrics import Comparison

Texts = NDArray[np.str_]
SIDES = ("champion", "challenger")


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A model and what it says of the applicants.

    name       STUDY/CONTENDER/SEED
    pd         float64 (n,): of the applicants
    reasons    text (n, r): what each would be told, empty for no further reason; r is 0 if the model gives none
    training   float64 (m,): PDs of the rows that it has learned from
    policy     the lending policy with the cut-off that it chooses for this model
    """

    name: str
    pd: Floats
    reasons: Texts
    training: Floats
    policy: Policy


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two models on the same applicants; cash_flow (n,) in CNY a month, outcomes (n,) 0 or 1, NaN where unknown."""

    champion: Contestant
    challenger: Contestant
    cash_flow: Floats
    outcomes: Floats

    @property
    def both(self) -> tuple[Contestant, Contestant]:
        """The champion and the challenger."""
        return self.champion, self.challenger

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whose outcomes are known, (n,)."""
        return np.asarray(~np.isnan(self.outcomes), np.bool_)

    @property
    def has_outcomes(self) -> bool:
        """Whether at least two goods and two bads are known, which a comparison of AUCs needs."""
        return bool(min(np.bincount(self.outcomes[self.known].astype(int), minlength=2)) >= 2)

    @property
    def approval(self) -> float:
        """The share of the applicants whom the champion approves at its own cut-off."""
        return float((self.champion.pd <= self.champion.policy.maximum_pd).mean())

    @property
    def approved(self) -> tuple[Floats, Floats]:
        """By model how much of each applicant is approved at equal approval, (n,): 0, 1, or a part of equal PDs."""
        first, second = (metrics.approval_weights(model.pd, self.approval) for model in self.both)
        return first, second


def order(pair: Pair) -> dict[str, float]:
    """How alike the models rank: Spearman's and Kendall's (tau-b) rank correlation of the PDs."""
    pds = [model.pd for model in pair.both]
    return {
        "spearman": float(stats.spearmanr(*pds).statistic),
        "kendall": float(stats.kendalltau(*pds).statistic),
    }


def swap_sets(pair: Pair) -> pd.DataFrame:
    """Who is approved by which model at equal approval.

    Index group (approved_by_both, swapped_in: by the challenger only, swapped_out: by the champion only,
    refused_by_both); columns applicants, share, the mean PD under champion and challenger, known (outcomes), bad_rate.
    """
    champion, challenger = pair.approved
    both = np.minimum(champion, challenger)
    groups = {
        "approved_by_both": both,
        "swapped_in": challenger - both,
        "swapped_out": champion - both,
        "refused_by_both": 1 - np.maximum(champion, challenger),
    }
    known, bads = pair.known, np.nan_to_num(pair.outcomes)
    return pd.DataFrame(
        {
            name: {
                "applicants": weights.sum(),
                "share": weights.mean(),
                **{side: _mean(model.pd, weights) for side, model in zip(SIDES, pair.both, strict=True)},
                "known": (weights * known).sum(),
                "bad_rate": _mean(bads, weights * known),
            }
            for name, weights in groups.items()
        }
    ).T


def figures(pair: Pair, sample: Sample | None = None) -> pd.DataFrame:
    """What each model leads to: index measure, columns champion and challenger.

    Profits are CNY per applicant. Measures of outcomes are there if some are known. With a sample that stands for all
    applicants (`inference.infer`) there are also its AUCs.
    """
    own = [(model.pd <= model.policy.maximum_pd).astype(np.float64) for model in pair.both]
    rows = {
        "mean_pd": [float(model.pd.mean()) for model in pair.both],
        "stability": [metrics.population_stability_index(model.training, model.pd) for model in pair.both],
        "cut_off": [model.policy.maximum_pd for model in pair.both],
        "approval_rate": [float(weights.mean()) for weights in own],
        "expected_profit": [_profit(pair, *one) for one in zip(pair.both, own, strict=True)],
        "expected_profit_equal": [_profit(pair, *one) for one in zip(pair.both, pair.approved, strict=True)],
    }
    if pair.has_outcomes:
        known = pair.known
        labels, pds = pair.outcomes[known], [model.pd[known] for model in pair.both]
        rows |= {
            "auc": [metrics.auc(labels, values) for values in pds],
            "mean_pd_known": [float(values.mean()) for values in pds],
            "bad_rate_known": [float(labels.mean())] * 2,
            "calibration_error": [metrics.expected_calibration_error(labels, values) for values in pds],
        }
    if sample is not None:
        rows["auc_inferred"] = [sample.auc(model.pd) for model in pair.both]
    return pd.DataFrame.from_dict(rows, orient="index", columns=SIDES)


def gain_of_auc(pair: Pair) -> Comparison:
    """AUC of the challenger minus that of the champion where outcomes are known, with its paired interval."""
    known = pair.known
    return metrics.delong_test(pair.outcomes[known], pair.challenger.pd[known], pair.champion.pd[known])


def changed_reasons(pair: Pair) -> dict[str, float]:
    """Among whom both decline at equal approval: how many have another first reason, and how many reasons are new.

    `first` is a share of those applicants, `new` a share of the challenger's reasons that the champion does not give.
    Empty if one of the models gives no reasons or nobody is declined by both.
    """
    declined = np.maximum(*pair.approved) == 0
    before, after = (model.reasons[declined] for model in pair.both)
    if not before.size or not after.size:
        return {}
    given = after != ""
    new = given & ~(after[:, :, None] == before[:, None, :]).any(axis=2)
    return {
        "first": float((before[:, 0] != after[:, 0]).mean()),
        "new": float(new.sum() / max(1, given.sum())),
    }


def _profit(pair: Pair, model: Contestant, approved: Floats) -> float:
    """Expected profit per applicant by the model's own PDs, of those it approves (n,)."""
    everybody = replace(model.policy, maximum_pd=1.0)
    earned = profit(decide(model.pd, pair.cash_flow, everybody), model.pd, everybody)
    return float((approved * earned).mean())


def _mean(values: Floats, weights: Floats) -> float:
    """Mean by weights, NaN over nobody."""
    return float(np.average(values, weights=weights)) if weights.sum() > 0 else float("nan")
