"""A supply-chain platform: the orders that its members receive, how they deliver, and what their buyers owe them.

Records: `orders` and `receivables`, each with a row per business and month. Amounts are in CNY.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from clients.parties.monthly import (
    Array,
    Feature,
    History,
    MonthlyParty,
    log_amount,
    log_ratio,
    lowest,
    mean,
    total,
    trend,
    year_on_year,
)


def overdue(past: History) -> Array:
    """What buyers owe past its due date, (businesses, months), CNY."""
    amount: Array = past["overdue_30"] + past["overdue_90"] + past["overdue_older"]
    return amount


def owed(past: History) -> Array:
    """All that buyers owe, (businesses, months), CNY."""
    return past["not_due"] + overdue(past)


class SupplyChainParty(MonthlyParty):
    """Sees demand before it becomes sales, and late payment before it reaches the account."""

    type = "supply_chain"
    is_platform = True
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "orders": (
            "business_id",
            "month",
            "orders_number",
            "orders_amount",
            "on_time_share",
            "disputes",
            "largest_buyer_share",
            "core_rating",
            "tenure",
        ),
        "receivables": ("business_id", "month", "not_due", "overdue_30", "overdue_90", "overdue_older"),
    }
    # A block per feature: its meaning, the reason that a customer is told, and its computation.
    # fmt: off
    columns = (
        Feature(
            "orders_12m", "numeric", "log CNY", sign=-1,
            description="Average monthly value of orders over the last 12 months",
            reason="The value of orders in the last twelve months is low",
            reason_zh="近十二个月订单金额偏低",
            compute=lambda past: log_amount(mean(past["orders_amount"], 0, 12)),
        ),
        Feature(
            "orders_trend_3m", "numeric", "log ratio", sign=-1,
            description="Value of orders of the last 3 months, relative to the 3 before",
            reason="The value of orders was lower in the last three months than in the three before",
            reason_zh="近三个月订单金额较前三个月下降",
            compute=lambda past: trend(past["orders_amount"], 3),
        ),
        Feature(
            "orders_trend_6m", "numeric", "log ratio", sign=-1,
            description="Value of orders of the last 6 months, relative to the 6 before",
            reason="The value of orders was lower in the last six months than in the six before",
            reason_zh="近六个月订单金额较前六个月下降",
            compute=lambda past: trend(past["orders_amount"], 6),
        ),
        Feature(
            "orders_year_on_year", "numeric", "log ratio", sign=-1,
            description="Value of orders of the last 3 months, relative to a year ago",
            reason="The value of orders was lower in the last three months than a year ago",
            reason_zh="近三个月订单金额同比下降",
            compute=lambda past: year_on_year(past["orders_amount"], 3),
        ),
        Feature(
            "on_time_3m", "numeric", "share", sign=-1,
            description="Share of deliveries on time over the last 3 months",
            reason="Deliveries were late in the last three months",
            reason_zh="近三个月存在延迟交货",
            compute=lambda past: mean(past["on_time_share"], 0, 3),
        ),
        Feature(
            "on_time_12m", "numeric", "share", sign=-1,
            description="Share of deliveries on time over the last 12 months",
            reason="Deliveries were late in the last twelve months",
            reason_zh="近十二个月存在延迟交货",
            compute=lambda past: mean(past["on_time_share"], 0, 12),
        ),
        Feature(
            "disputes_12m", "numeric", "log ratio", sign=1,
            description="Disputes relative to orders over the last 12 months",
            reason="Many orders led to disputes in the last twelve months",
            reason_zh="近十二个月订单纠纷较多",
            compute=lambda past: log_ratio(total(past["disputes"], 0, 12) + 1, total(past["orders_number"], 0, 12) + 1),
        ),
        Feature(
            "receivables_to_orders", "numeric", "log ratio", sign=1,
            description="Receivables of the last 3 months, relative to average monthly orders (12 months)",
            reason="The amount that buyers still owe is high compared with monthly orders",
            reason_zh="应收账款相对每月订单金额偏高",
            compute=lambda past: log_ratio(mean(owed(past), 0, 3), mean(past["orders_amount"], 0, 12)),
        ),
        Feature(
            "overdue_share_3m", "numeric", "share", sign=1,
            description="Share of receivables past their due date over the last 3 months",
            reason="Buyers owed overdue payments in the last three months",
            reason_zh="近三个月应收账款存在逾期",
            compute=lambda past: total(overdue(past), 0, 3) / np.maximum(total(owed(past), 0, 3), 1),
        ),
        Feature(
            "overdue_share_12m", "numeric", "share", sign=1,
            description="Share of receivables past their due date over the last 12 months",
            reason="Buyers owed overdue payments in the last twelve months",
            reason_zh="近十二个月应收账款存在逾期",
            compute=lambda past: total(overdue(past), 0, 12) / np.maximum(total(owed(past), 0, 12), 1),
        ),
        Feature(
            "overdue_trend_3m", "numeric", "log ratio", sign=1,
            description="Overdue receivables of the last 3 months, relative to the 3 before",
            reason="Buyers owed more overdue payments in the last three months than in the three before",
            reason_zh="近三个月逾期应收账款较前三个月增加",
            compute=lambda past: trend(overdue(past), 3),
        ),
        Feature(
            "largest_buyer_share", "numeric", "share", sign=1,
            description="Share of orders from the largest buyer over the last 3 months",
            reason="A large share of orders comes from one buyer",
            reason_zh="订单集中于单一买家",
            compute=lambda past: mean(past["largest_buyer_share"], 0, 3),
        ),
        Feature(
            "core_rating", "numeric", "points", sign=-1,
            description="Average credit standing of the core enterprise over the last 3 months",
            reason="The core enterprise that the business supplies has a low credit standing",
            reason_zh="所供货的核心企业信用状况较弱",
            compute=lambda past: mean(past["core_rating"], 0, 3),
        ),
        Feature(
            "core_rating_lowest_12m", "numeric", "points", sign=-1,
            description="Lowest credit standing of the core enterprise in the last 12 months",
            reason="The credit standing of the core enterprise was low at some time in the last twelve months",
            reason_zh="近十二个月核心企业信用状况曾较弱",
            compute=lambda past: lowest(past["core_rating"], 0, 12),
        ),
        Feature(
            "tenure", "numeric", "log months", sign=-1,
            description="Months since the business joined the platform",
            reason="The business joined the platform only recently",
            reason_zh="企业入驻平台时间较短",
            compute=lambda past: log_amount(mean(past["tenure"], 0, 1)),
        ),
    )
    # fmt: on
