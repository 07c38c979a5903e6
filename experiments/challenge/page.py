"""What the page of a challenge says, from the frames of `measures`."""

import pandas as pd
from matplotlib.figure import Figure

from experiments.challenge import Inference, measures
from experiments.challenge.inference import Sample
from experiments.challenge.measures import Pair
from experiments.challenge.recalibration import Recalibration
from experiments.lending import figures
from experiments.lending.wording import DASH, policy_table
from server.tracking.pages import Code, Heading, Part, Picture

_GROUPS = {
    "approved_by_both": "approved by both",
    "swapped_in": "approved by the challenger only",
    "swapped_out": "approved by the champion only",
    "refused_by_both": "declined by both",
}
_MEASURES = {
    "mean_pd": ("mean PD", "share"),
    "stability": ("population stability index, applicants against training rows", "number"),
    "cut_off": ("cut-off of its own", "share"),
    "approval_rate": ("approval rate at its own cut-off", "share"),
    "expected_profit": ("expected profit per applicant at its own cut-off", "CNY"),
    "expected_profit_equal": ("expected profit per applicant at equal approval", "CNY"),
    "auc": ("AUC, known outcomes", "number"),
    "mean_pd_known": ("mean PD, known outcomes", "share"),
    "bad_rate_known": ("bad rate, known outcomes", "share"),
    "calibration_error": ("expected calibration error, known outcomes", "share"),
    "auc_inferred": ("AUC, all applicants by reject inference", "number"),
}


def findings(pair: Pair) -> list[str]:
    """The main differences, a sentence each."""
    order, groups = measures.order(pair), measures.swap_sets(pair)
    approved = _share(pair.approval)
    sentences = [
        f"Rank correlation of the PDs: Spearman {order['spearman']:.3f}, Kendall {order['kendall']:.3f}.",
        f"If both approve {approved}, {_share(groups.loc['swapped_in', 'share'])} of the applicants are exchanged.",
    ]
    if pair.has_outcomes:
        gain = measures.gain_of_auc(pair)
        sentences.append(
            f"AUC of the challenger minus that of the champion, {int(pair.known.sum()):,} known outcomes: "
            f"{gain.difference:+.4f} (95 % interval {gain.low:+.4f} to {gain.high:+.4f})."
        )
    if changed := measures.changed_reasons(pair):
        sentences.append(
            f"Of the applicants whom both decline, {_share(changed['first'])} are told another first reason, and "
            f"{_share(changed['new'])} of the challenger's reasons are new."
        )
    return sentences


def compose(
    pair: Pair,
    answered: dict[str, dict[str, int]],
    sample: Sample | None,
    inference: Inference,
    recalibrations: list[Recalibration],
    command: str,
) -> list[Part]:
    """The parts of the page; answered says, by side, how many applicants each model has answered for."""
    parts: list[Part] = [
        Heading("Champion and challenger", 1),
        f"`{pair.challenger.name}` challenges `{pair.champion.name}`, on the same {len(pair.cash_flow):,} applicants.",
        *findings(pair),
        Heading("Both models"),
        _figures_table(measures.figures(pair, sample)),
        Heading(f"Who changes sides if both approve {_share(pair.approval)}"),
    ]
    if pair.has_outcomes:
        parts.append(Picture("swap", "Bad rates of applicants on whom the models agree or differ"))
    parts.append(_swap_table(measures.swap_sets(pair)))
    if recalibrations:
        parts += [Heading("Recalibration"), _recalibration_table(recalibrations)]
    return [*parts, Heading("How it was made"), Code(command), *_notes(pair, answered, inference)]


def draw(pair: Pair) -> dict[str, Figure]:
    """The figures of the page by name; there is one if outcomes are known."""
    if not pair.has_outcomes:
        return {}
    groups = measures.swap_sets(pair)[["share", "bad_rate"]]
    return {"swap": figures.swap(groups, "Swap sets", ("the champion", "the challenger"))}


def _figures_table(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "": _MEASURES[name][0],
            **{side: _written(value, _MEASURES[name][1]) for side, value in row.items()},
        }
        for name, row in frame.iterrows()
    )


def _swap_table(groups: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "": _GROUPS[name],
            "applicants": f"{row['applicants']:,.0f}",
            "share": _share(row["share"]),
            "mean PD, champion": _written(row["champion"], "share"),
            "mean PD, challenger": _written(row["challenger"], "share"),
            "outcomes known": f"{row['known']:,.0f}",
            "bad rate of these": _written(row["bad_rate"], "share"),
        }
        for name, row in groups.iterrows()
    )


def _recalibration_table(recalibrations: list[Recalibration]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": one.model,
            "slope": f"{one.slope:.3f}",
            "intercept": f"{one.intercept:+.3f}",
            "known outcomes": f"{one.outcomes:,}",
            "reject inference": str(one.reject_inference),
        }
        for one in recalibrations
    )


def _notes(pair: Pair, answered: dict[str, dict[str, int]], inference: Inference) -> list[Part]:
    by = "; ".join(
        f"the {side}: {', '.join(f'{rows:,} by {model}' for model, rows in models.items())}"
        for side, models in answered.items()
    )
    notes: list[Part] = [
        f"Answered for {by}.",
        "A model's own cut-off is the one that the policy chooses on the validation rows of its training. At equal "
        "approval the challenger approves as many as the champion does at its own cut-off. Expected profit relies on "
        "each model's own PDs.",
    ]
    if len(pair.cash_flow) > pair.known.sum() > 0:
        notes.append(
            f"The outcomes of {len(pair.cash_flow) - int(pair.known.sum()):,} applicants are unknown. Among those who "
            "were accepted, AUCs are smaller and the gain over the model in use is larger than among all, because that "
            "model has chosen them."
            + (
                ""
                if inference is Inference.none
                else f" Reject inference, by {inference}, makes an assumption of them."
            )
        )
    return [*notes, policy_table(pair.champion.policy)]


def _written(value: float, kind: str) -> str:
    if pd.isna(value):
        return DASH
    return {"share": _share(value), "number": f"{value:.4f}", "CNY": f"{value:,.0f} CNY"}[kind]


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"
