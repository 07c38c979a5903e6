"""A court: judgments against a business, and what had to be enforced."""

import numpy as np
import pandas as pd

from clients.data.declaration import Column
from clients.parties import Party
from clients.parties.monthly import Panel, log_amount, total


class CourtParty(Party):
    """Sees disputes that ended in court. Who never had one is unknown to it."""

    type = "court"
    tables = {
        "judgments": ("business_id", "month", "amount", "loan_dispute"),
        "enforcements": ("business_id", "month", "outstanding"),
    }
    columns = (
        Column("judgments_24m", "numeric", "log count", "Judgments against it, 24 months", 1, 2),
        Column("judged_amount_24m", "numeric", "log CNY", "Amount it was ordered to pay, 24 months", 1, 3),
        Column("loan_disputes_24m", "numeric", "log count", "Of these, over loans", 1, 3),
        Column("last_judgment", "numeric", "months", "Months since the last one", -1, 2),
        Column("enforced_24m", "numeric", "log CNY", "Amount left to enforcement, 24 months", 1, 4),
    )

    def features(self, records, as_of):
        """One row per business of `as_of`, from records that end with its observation month."""
        # A panel has one row per business and month; a month may have seen several judgments.
        judged = self._monthly(records["judgments"].assign(number=1.0), as_of)
        enforced = self._monthly(records["enforcements"], as_of)
        in_month = ~np.isnan(judged["number"])
        return pd.DataFrame(
            {
                "judgments_24m": log_amount(total(judged["number"], 0, 24)),
                "judged_amount_24m": log_amount(total(judged["amount"], 0, 24)),
                "loan_disputes_24m": log_amount(total(judged["loan_dispute"], 0, 24)),
                "last_judgment": np.where(in_month.any(axis=1), in_month.argmax(axis=1), np.nan),
                "enforced_24m": log_amount(total(enforced["outstanding"], 0, 24)),
            },
            index=as_of.index,
        )

    def _monthly(self, table, as_of):
        sums = table.groupby(["business_id", "month"], as_index=False).sum()
        return Panel(sums, as_of, months=24)
