"""How the numbers of a report are written, and the tables of text on its pages."""

import pandas as pd

from experiments.lending.claims import CLAIMS, Claim
from experiments.lending.measures import APPROVAL, BAD_RATE, MEASURES, OWN, RANKING
from experiments.lending.policy import Policy

DASH = "–"
CHANGE, INTERVAL = "change", "95 % interval"
SAME_BY_CONSTRUCTION = {(APPROVAL, "approval_rate"), (APPROVAL, "swapped"), (BAD_RATE, "bad_rate")}
"""Rows that a table leaves out, because cut-offs of that kind make both models equal there."""


def labels(pair: tuple[str, str]) -> tuple[str, str]:
    """What a table calls the reference and the challenger: who shares data, or their names if that is the same.

    >>> labels(("bank-only-boosting", "federated-boosting"))
    ('bank alone', 'federated')
    """
    kinds = {"bank-only": "bank alone", "federated": "federated"}
    first, second = (kinds.get(name.rpartition("-")[0], name) for name in pair)
    return pair if first == second else (first, second)


def level(measure: str, value: float) -> str:
    """A value of a measure with its unit, or a dash for NaN."""
    if pd.isna(value):
        return DASH
    return {
        "share": f"{100 * value:.1f} %",
        "rate": f"{100 * value:.2f} %",
        "coefficient": f"{value:.3f}",
        "line": f"{value:,.0f} CNY",
        "profit": f"{value:,.0f} CNY",
    }[MEASURES[measure].kind]


def change(measure: str, value: float) -> str:
    """A change of a measure with its sign and unit, or a dash for NaN.

    >>> change("approval_rate", 0.157), change("average_line", -0.012)  # one in points, the other relative
    ('+15.7 points', '-1.2 %')
    """
    return DASH if pd.isna(value) else f"{_signed(measure, value)} {_unit(measure)}"


def interval(measure: str, low: float, high: float) -> str:
    """Both ends of the interval of a change, or a dash if one is NaN."""
    if pd.isna(low) or pd.isna(high):
        return DASH
    return f"{_signed(measure, low)} to {_signed(measure, high)} {_unit(measure)}"


def finding(measure: str, row: pd.Series) -> str:
    """A change with its interval in brackets, for a line of text."""
    if pd.isna(row["low"]):
        return change(measure, row["change"])
    ends = f"{_signed(measure, row['low'])} to {_signed(measure, row['high'])}"
    return f"{change(measure, row['change'])} ({ends})"


def sure(row: pd.Series) -> bool:
    """Whether the interval of the change excludes zero."""
    return bool(row["low"] > 0 or row["high"] < 0)


def headline(world: str, summary: pd.DataFrame) -> str:
    """One or two sentences that say what federation brings in a world."""
    gini, approved = summary.loc[(RANKING, "gini")], summary.loc[(BAD_RATE, "approval_rate")]
    if not sure(gini):
        return (
            f"**{world}**: no gain can be shown. Gini {finding('gini', gini)}, "
            f"approvals at equal bad rate {finding('approval_rate', approved)}."
        )
    first, second = (level("approval_rate", approved[name]) for name in ("reference", "challenger"))
    return (
        f"**{world}**: Gini {finding('gini', gini)}. At equal bad rate {second} of applicants are approved "
        f"instead of {first}: {finding('approval_rate', approved)}."
    )


def measure_table(summary: pd.DataFrame, cutoffs: str, pair: tuple[str, str]) -> pd.DataFrame:
    """The measures at one pair of cut-offs, as a table of text."""
    alone, federated = labels(pair)
    return pd.DataFrame(
        {
            "": MEASURES[name].title,
            alone: level(name, row["reference"]),
            federated: level(name, row["challenger"]),
            CHANGE: change(name, row["change"]),
            INTERVAL: interval(name, row["low"], row["high"]),
        }
        for name, row in summary.loc[cutoffs].iterrows()
        if (cutoffs, name) not in SAME_BY_CONSTRUCTION
    )


def claim_table(summaries: dict[str, pd.DataFrame], pair: tuple[str, str]) -> pd.DataFrame:
    """Published figures, what was measured in each world, and what of it can be compared, as a table of text."""
    where = {OWN: ", own cut-offs", BAD_RATE: ", equal bad rate"}
    return pd.DataFrame(
        {
            "who": claim.lender,
            "says": claim.says,
            "here": MEASURES[claim.measure].title + where.get(claim.cutoffs, ""),
            **{world: _beside(claim, summary, labels(pair)[0]) for world, summary in summaries.items()},
            "comparable?": claim.comparable,
        }
        for claim in CLAIMS
    )


def _beside(claim: Claim, summary: pd.DataFrame, reference: str) -> str:
    """What was measured beside a published figure."""
    if (claim.cutoffs, claim.measure) not in summary.index:
        return DASH
    measured = summary.loc[(claim.cutoffs, claim.measure)]
    found = finding(claim.measure, measured)
    if claim.change:
        return found
    before, after = (level(claim.measure, measured[name]) for name in ("reference", "challenger"))
    return f"{after}; {reference} {before}: {found}"


def policy_table(policy: Policy) -> pd.DataFrame:
    """The lending policy in words, as a table of text."""
    chosen = {
        "profit": "at the largest expected profit",
        "approval-rate": f"to approve {100 * policy.target:g} % of the applicants",
        "bad-rate": f"for a bad rate of {100 * policy.target:g} %",
        "none": f"at PD {100 * policy.maximum_pd:g} %",
    }[policy.choose]
    rows = {
        "cut-off, on validation rows": chosen,
        "line, share of a year's cash flow": "; ".join(
            f"PD up to {100 * end:g} %: {100 * share:g} %" for end, share in policy.grades
        ),
        "line, limits": f"{policy.minimum_line:,.0f} to {policy.maximum_line:,.0f} CNY",
        "price": (
            f"{100 * policy.loss_given_default:g} % of PD + {100 * policy.funding_cost:g} % funding + "
            f"{100 * policy.margin:g} % margin, at most {100 * policy.maximum_price:g} % per year"
        ),
        "loss given default": f"{100 * policy.loss_given_default:g} % of the line",
        "operating cost": f"{policy.operating_cost:,.0f} CNY per loan and year",
    }
    return pd.DataFrame(rows.items(), columns=["policy", ""])


def _signed(measure: str, value: float) -> str:
    kind = MEASURES[measure].kind
    if kind == "profit":
        return f"{value:+z,.0f}"
    return f"{100 * value:+z.{2 if kind == 'rate' else 1}f}"


def _unit(measure: str) -> str:
    return {"coefficient": "%", "line": "%", "profit": "CNY"}.get(MEASURES[measure].kind, "points")
