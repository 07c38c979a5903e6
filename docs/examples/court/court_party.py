"""A court: judgments against a business, and what had to be enforced."""

import numpy as np

from clients.parties.monthly import Feature, MonthlyParty, log_amount, total


def months_since_judgment(past):
    """Months since the last judgment, missing where there was none, (businesses,)."""
    judged = ~np.isnan(past["judgments"])
    return np.where(judged.any(axis=1), judged.argmax(axis=1), np.nan)


class CourtParty(MonthlyParty):
    """Knows the disputes that ended in court. A business that never had one is unknown to it."""

    type = "court"
    look_back = 24
    tables = {
        "judgments": ("business_id", "month", "amount", "loan_dispute"),
        "enforcements": ("business_id", "month", "outstanding"),
    }
    # fmt: off
    columns = (
        Feature(
            "judgments_24m", "numeric", "log count", sign=1, grade=2,
            description="Judgments against the business in the last 24 months",
            reason="Courts ruled against the business in the last two years",
            reason_zh="近两年有法院判决企业败诉",
            compute=lambda past: log_amount(total(past["judgments"], 0, 24)),
        ),
        Feature(
            "judged_amount_24m", "numeric", "log CNY", sign=1, grade=3,
            description="Amount that the business was ordered to pay in the last 24 months",
            reason="Courts ordered the business to pay large amounts in the last two years",
            reason_zh="近两年法院判决企业支付的金额较高",
            compute=lambda past: log_amount(total(past["amount"], 0, 24)),
        ),
        Feature(
            "loan_disputes_24m", "numeric", "log count", sign=1, grade=3,
            description="Judgments against the business over loans in the last 24 months",
            reason="Courts ruled against the business over loans in the last two years",
            reason_zh="近两年企业在借贷纠纷中败诉",
            compute=lambda past: log_amount(total(past["loan_dispute"], 0, 24)),
        ),
        Feature(
            "last_judgment", "numeric", "months", sign=-1, grade=2,
            description="Months since the last judgment against the business",
            reason="A court ruled against the business only recently",
            reason_zh="企业近期被法院判决败诉",
            compute=months_since_judgment,
        ),
        Feature(
            "enforced_24m", "numeric", "log CNY", sign=1, grade=4,
            description="Amount left to enforcement in the last 24 months",
            reason="The business did not pay what courts ordered in the last two years",
            reason_zh="近两年企业有未履行的判决",
            compute=lambda past: log_amount(total(past["outstanding"], 0, 24)),
        ),
    )
    # fmt: on

    def features(self, records, as_of):
        """See `Party.features`. Several cases of a business in one month are added up."""
        cases = records | {"judgments": records["judgments"].assign(judgments=1.0)}
        by_month = {
            name: table.groupby(["business_id", "month"], as_index=False).sum()
            for name, table in cases.items()
        }
        return super().features(by_month, as_of)
