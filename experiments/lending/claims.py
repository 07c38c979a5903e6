"""What a report on China's digital inclusive finance says of federated platforms, and the measures beside it here."""

from dataclasses import dataclass

from experiments.lending.measures import BAD_RATE, OWN, RANKING


@dataclass(frozen=True)
class Claim:
    """One published figure.

    cutoffs and measure name the row of `measures.measure` that stands beside it; change says whether the change of that
    row is of the same kind as the figure, or else the challenger's level is. gain is the published gain as a share,
    where the figure of gains shows it.
    """

    lender: str
    says: str
    cutoffs: str
    measure: str
    change: bool
    comparable: str
    gain: float | None = None


CLAIMS = (
    Claim(
        "UnionPay",
        "small-business risk score 10 % better",
        RANKING,
        "gini",
        True,
        "Comparable: a small-business score to which other organisations add columns. Not: the report does not say by "
        "which measure or over which score; the relative gain of Gini is this project's reading, and a gain of AUC "
        "would be a smaller number.",
        gain=0.1,
    ),
    Claim(
        "ICBC",
        "small-merchant model 20 % better",
        RANKING,
        "ks",
        True,
        "Comparable and not as above; KS is the other measure that Chinese banks quote. It is taken at one cut-off and "
        "scatters more than Gini.",
        gain=0.2,
    ),
    Claim(
        "ICBC",
        "average credit line 30 % higher",
        BAD_RATE,
        "average_line",
        True,
        "Comparable: the mean line of the approved, at equal risk. Not: under both models the policy takes cash flow "
        "from the bank's own account records, so that only the PD's grade can move a line; a partner's turnover in the "
        "line itself would move it more. And those who are approved in addition are riskier and get smaller ones, "
        "which holds the mean down while credit in all rises (below).",
    ),
    Claim(
        "MYbank",
        "80 % of a chain's small firms eligible without the core enterprise's guarantee",
        OWN,
        "approval_rate_platform",
        False,
        "Comparable: firms known to the platform, approved on the score alone. Not: the level follows from the "
        "policy's cut-off and from who applies (all have passed the bank's first look); what federation does is the "
        "difference from the bank alone.",
    ),
    Claim(
        "WeBank",
        "17 % of micro-loan customers are first-time borrowers",
        OWN,
        "share_first_time",
        False,
        "Comparable: their share among the approved. Not: it follows from their share among applicants, in the "
        "simulated economies 20 % by construction; what federation does is the difference from the bank alone.",
    ),
)
