"""A utility: electricity and water as they are used month by month, and how the bills are paid.

Records: `meters` (what was used) and `bills` (what was charged and when it was paid), one row per business and month
each. Amounts are CNY. A firm that produces uses power before its invoices are written, and a firm that runs short pays
its bills late.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pandas as pd

from clients.data.declaration import Column
from clients.parties.base import Party
from clients.parties.monthly import (
    Panel,
    highest,
    log_amount,
    log_ratio,
    mean,
    share_of_months,
    trend,
    volatility,
    year_on_year,
)


class UtilityParty(Party):
    """Sees production as it happens, and the first bills that stay unpaid."""

    type = "utility"
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "meters": ("business_id", "month", "electricity", "water"),
        "bills": ("business_id", "month", "billed", "unpaid", "days_late"),
    }
    columns = (
        Column("electricity_12m", "numeric", "log kWh", "Mean monthly electricity, 12 months", -1),
        Column("electricity_trend_3m", "numeric", "log ratio", "Power: last 3 months to the 3 before", -1),
        Column("electricity_trend_6m", "numeric", "log ratio", "Power: last 6 months to the 6 before", -1),
        Column("electricity_year_on_year", "numeric", "log ratio", "Power: last 3 months to a year ago", -1),
        Column("electricity_volatility_12m", "numeric", "log ratio", "Variation of power, 12 months", 1),
        Column("water_trend_6m", "numeric", "log ratio", "Water: last 6 months to the 6 before", -1),
        Column("water_year_on_year", "numeric", "log ratio", "Water: last 3 months to a year ago", -1),
        Column("days_late_3m", "numeric", "log days", "Mean days a bill is paid late, 3 months", 1, 4),
        Column("days_late_12m", "numeric", "log days", "Mean days a bill is paid late, 12 months", 1, 4),
        Column("most_days_late_12m", "numeric", "log days", "Most days late in 12 months", 1, 4),
        Column("months_late_12m", "numeric", "share", "Share of bills paid late, 12 months", 1, 4),
        Column("unpaid_to_billed", "numeric", "log ratio", "Unpaid (2 months) to a month's bill", 1, 4),
    )

    reasons: ClassVar[Mapping[str, tuple[str, str]]] = {
        "electricity_12m": ("Little electricity used", "用电量偏低"),
        "electricity_trend_3m": ("Use of electricity has fallen in three months", "近三个月用电量下降"),
        "electricity_trend_6m": ("Use of electricity has fallen in six months", "近六个月用电量下降"),
        "electricity_year_on_year": ("Less electricity used than a year ago", "用电量同比下降"),
        "electricity_volatility_12m": ("Use of electricity varies much", "用电量波动较大"),
        "water_trend_6m": ("Use of water has fallen in six months", "近六个月用水量下降"),
        "water_year_on_year": ("Less water used than a year ago", "用水量同比下降"),
        "days_late_3m": ("Utility bills of late paid late", "近期水电费逾期缴纳"),
        "days_late_12m": ("Utility bills paid late", "水电费逾期缴纳"),
        "most_days_late_12m": ("A utility bill paid very late in the year", "年内水电费逾期时间较长"),
        "months_late_12m": ("Utility bills often paid late", "水电费逾期月份较多"),
        "unpaid_to_billed": ("Unpaid utility bills", "欠缴水电费"),
    }

    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        """See `Party.features`."""
        meters, bills = Panel(records["meters"], as_of), Panel(records["bills"], as_of)
        power, water, late = meters["electricity"], meters["water"], bills["days_late"]
        unpaid, billed = mean(bills["unpaid"], 0, 2), mean(bills["billed"], 0, 12)
        return pd.DataFrame(
            {
                "electricity_12m": log_amount(mean(power, 0, 12)),
                "electricity_trend_3m": trend(power, 3),
                "electricity_trend_6m": trend(power, 6),
                "electricity_year_on_year": year_on_year(power, 3),
                "electricity_volatility_12m": volatility(power, 0, 12),
                "water_trend_6m": trend(water, 6),
                "water_year_on_year": year_on_year(water, 3),
                "days_late_3m": log_amount(mean(late, 0, 3)),
                "days_late_12m": log_amount(mean(late, 0, 12)),
                "most_days_late_12m": log_amount(highest(late, 0, 12)),
                "months_late_12m": share_of_months(late, 0, 12),
                "unpaid_to_billed": log_ratio(unpaid + 1, np.maximum(billed, 0) + 1),
            },
            index=as_of.index,
        )
