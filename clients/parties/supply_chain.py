"""A supply-chain platform: the orders that its members receive, how they deliver, and what their buyers owe
them.

Records: `orders` and `receivables`, one row per business and month each. Amounts are CNY.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pandas as pd

from clients.data.declaration import Column
from clients.parties.base import Party
from clients.parties.monthly import Panel, log_amount, log_ratio, lowest, mean, total, trend, year_on_year


class SupplyChainParty(Party):
    """Sees demand before it becomes sales, and late payment before it reaches the account."""

    type = "supply_chain"
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
    columns = (
        Column("orders_12m", "numeric", "log CNY", "Mean monthly orders, 12 months", -1),
        Column("orders_trend_3m", "numeric", "log ratio", "Orders: last 3 months to the 3 before", -1),
        Column("orders_trend_6m", "numeric", "log ratio", "Orders: last 6 months to the 6 before", -1),
        Column("orders_year_on_year", "numeric", "log ratio", "Orders: last 3 months to a year ago", -1),
        Column("on_time_3m", "numeric", "share", "Deliveries on time, 3 months", -1),
        Column("on_time_12m", "numeric", "share", "Deliveries on time, 12 months", -1),
        Column("disputes_12m", "numeric", "log ratio", "Disputes to orders, 12 months", 1),
        Column(
            "receivables_to_orders", "numeric", "log ratio", "Receivables (3 months) to monthly orders", 1
        ),
        Column("overdue_share_3m", "numeric", "share", "Receivables past their date, 3 months", 1),
        Column("overdue_share_12m", "numeric", "share", "Receivables past their date, 12 months", 1),
        Column("overdue_trend_3m", "numeric", "log ratio", "Overdue: last 3 months to the 3 before", 1),
        Column("largest_buyer_share", "numeric", "share", "Orders from the largest buyer, 3 months", 1),
        Column("core_rating", "numeric", "points", "Standing of the core enterprise, 3 months", -1),
        Column("core_rating_lowest_12m", "numeric", "points", "Its lowest standing in 12 months", -1),
        Column("tenure", "numeric", "log months", "Months on the platform", -1),
    )

    reasons: ClassVar[Mapping[str, tuple[str, str]]] = {
        "orders_12m": ("Few orders", "订单金额偏低"),
        "orders_trend_3m": ("Orders have fallen in three months", "近三个月订单下降"),
        "orders_trend_6m": ("Orders have fallen in six months", "近六个月订单下降"),
        "orders_year_on_year": ("Fewer orders than a year ago", "订单同比下降"),
        "on_time_3m": ("Late deliveries of late", "近期交货延迟"),
        "on_time_12m": ("Late deliveries over the year", "全年交货延迟"),
        "disputes_12m": ("Disputes over orders", "订单纠纷较多"),
        "receivables_to_orders": ("High receivables for the orders", "应收账款相对订单偏高"),
        "overdue_share_3m": ("Receivables overdue of late", "近期应收账款逾期"),
        "overdue_share_12m": ("Receivables overdue over the year", "全年应收账款逾期"),
        "overdue_trend_3m": ("More receivables are overdue than before", "应收账款逾期增加"),
        "largest_buyer_share": ("Orders depend on one buyer", "订单集中于单一买家"),
        "core_rating": ("Standing of the core enterprise", "核心企业信用状况"),
        "core_rating_lowest_12m": ("The core enterprise has been in difficulty", "核心企业曾出现困难"),
        "tenure": ("Short time on the platform", "入驻平台时间较短"),
    }

    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        """See `Party.features`."""
        orders, receivables = Panel(records["orders"], as_of), Panel(records["receivables"], as_of)
        amount, on_time, rating = orders["orders_amount"], orders["on_time_share"], orders["core_rating"]
        overdue = receivables["overdue_30"] + receivables["overdue_90"] + receivables["overdue_older"]
        owed = receivables["not_due"] + overdue
        disputes, number = total(orders["disputes"], 0, 12), total(orders["orders_number"], 0, 12)
        return pd.DataFrame(
            {
                "orders_12m": log_amount(mean(amount, 0, 12)),
                "orders_trend_3m": trend(amount, 3),
                "orders_trend_6m": trend(amount, 6),
                "orders_year_on_year": year_on_year(amount, 3),
                "on_time_3m": mean(on_time, 0, 3),
                "on_time_12m": mean(on_time, 0, 12),
                "disputes_12m": log_ratio(disputes + 1, number + 1),
                "receivables_to_orders": log_ratio(mean(owed, 0, 3), mean(amount, 0, 12)),
                "overdue_share_3m": total(overdue, 0, 3) / np.maximum(total(owed, 0, 3), 1),
                "overdue_share_12m": total(overdue, 0, 12) / np.maximum(total(owed, 0, 12), 1),
                "overdue_trend_3m": trend(overdue, 3),
                "largest_buyer_share": mean(orders["largest_buyer_share"], 0, 3),
                "core_rating": mean(rating, 0, 3),
                "core_rating_lowest_12m": lowest(rating, 0, 12),
                "tenure": log_amount(np.maximum(mean(orders["tenure"], 0, 1), 0)),
            },
            index=as_of.index,
        )
