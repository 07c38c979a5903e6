"""A utility: how much electricity and water a business uses month by month, and how it pays the bills.

Records: `meters` (what was used) and `bills` (what was charged and how late it was paid), each with a row per business
and month. Amounts are in CNY. A business that produces uses power before it writes invoices, and one that runs short of
money pays its bills late.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from clients.parties.monthly import (
    Feature,
    MonthlyParty,
    highest,
    log_amount,
    log_ratio,
    mean,
    share_of_months,
    trend,
    volatility,
    year_on_year,
)


class UtilityParty(MonthlyParty):
    """Sees production as it happens, and the first bills that are left unpaid."""

    type = "utility"
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "meters": ("business_id", "month", "electricity", "water"),
        "bills": ("business_id", "month", "billed", "unpaid", "days_late"),
    }
    # A block per feature: its meaning, the reason that a customer is told, and its computation.
    # fmt: off
    columns = (
        Feature(
            "electricity_12m", "numeric", "log kWh", sign=-1,
            description="Average monthly use of electricity over the last 12 months",
            reason="The business used little electricity in the last twelve months",
            reason_zh="近十二个月用电量偏低",
            compute=lambda past: log_amount(mean(past["electricity"], 0, 12)),
        ),
        Feature(
            "electricity_trend_3m", "numeric", "log ratio", sign=-1,
            description="Electricity of the last 3 months, relative to the 3 before",
            reason="The business used less electricity in the last three months than in the three before",
            reason_zh="近三个月用电量较前三个月下降",
            compute=lambda past: trend(past["electricity"], 3),
        ),
        Feature(
            "electricity_trend_6m", "numeric", "log ratio", sign=-1,
            description="Electricity of the last 6 months, relative to the 6 before",
            reason="The business used less electricity in the last six months than in the six before",
            reason_zh="近六个月用电量较前六个月下降",
            compute=lambda past: trend(past["electricity"], 6),
        ),
        Feature(
            "electricity_year_on_year", "numeric", "log ratio", sign=-1,
            description="Electricity of the last 3 months, relative to a year ago",
            reason="The business used less electricity in the last three months than a year ago",
            reason_zh="近三个月用电量同比下降",
            compute=lambda past: year_on_year(past["electricity"], 3),
        ),
        Feature(
            "electricity_volatility_12m", "numeric", "log ratio", sign=1,
            description="Variation of the monthly use of electricity over the last 12 months",
            reason="The use of electricity varies strongly from month to month",
            reason_zh="每月用电量波动较大",
            compute=lambda past: volatility(past["electricity"], 0, 12),
        ),
        Feature(
            "water_trend_6m", "numeric", "log ratio", sign=-1,
            description="Water of the last 6 months, relative to the 6 before",
            reason="The business used less water in the last six months than in the six before",
            reason_zh="近六个月用水量较前六个月下降",
            compute=lambda past: trend(past["water"], 6),
        ),
        Feature(
            "water_year_on_year", "numeric", "log ratio", sign=-1,
            description="Water of the last 3 months, relative to a year ago",
            reason="The business used less water in the last three months than a year ago",
            reason_zh="近三个月用水量同比下降",
            compute=lambda past: year_on_year(past["water"], 3),
        ),
        Feature(
            "days_late_3m", "numeric", "log days", sign=1, grade=4,
            description="Average days that bills of the last 3 months were paid late",
            reason="Utility bills of the last three months were paid late",
            reason_zh="近三个月水电费逾期缴纳",
            compute=lambda past: log_amount(mean(past["days_late"], 0, 3)),
        ),
        Feature(
            "days_late_12m", "numeric", "log days", sign=1, grade=4,
            description="Average days that bills of the last 12 months were paid late",
            reason="Utility bills of the last twelve months were paid late",
            reason_zh="近十二个月水电费逾期缴纳",
            compute=lambda past: log_amount(mean(past["days_late"], 0, 12)),
        ),
        Feature(
            "most_days_late_12m", "numeric", "log days", sign=1, grade=4,
            description="Most days that a bill of the last 12 months was paid late",
            reason="A utility bill was paid very late in the last twelve months",
            reason_zh="近十二个月有水电费逾期时间较长",
            compute=lambda past: log_amount(highest(past["days_late"], 0, 12)),
        ),
        Feature(
            "months_late_12m", "numeric", "share", sign=1, grade=4,
            description="Share of the bills of the last 12 months that were paid late",
            reason="Utility bills were paid late in several of the last twelve months",
            reason_zh="近十二个月中多个月水电费逾期",
            compute=lambda past: share_of_months(past["days_late"], 0, 12),
        ),
        Feature(
            "unpaid_to_billed", "numeric", "log ratio", sign=1, grade=4,
            description="Unpaid amount of the last 2 months, relative to an average monthly bill (12 months)",
            reason="Utility bills of the last two months are unpaid",
            reason_zh="近两个月存在欠缴水电费",
            compute=lambda past: log_ratio(
                mean(past["unpaid"], 0, 2) + 1, np.maximum(mean(past["billed"], 0, 12), 0) + 1
            ),
        ),
    )
    # fmt: on
