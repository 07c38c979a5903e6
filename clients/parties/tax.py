"""A tax bureau: VAT invoices issued and received, and the monthly returns.

Records: `invoices` and `returns`, one row per business and month each. Amounts are CNY.
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
    total,
    trend,
    volatility,
    year_on_year,
)


class TaxParty(Party):
    """Sees what was sold and bought with an invoice, and how taxes were paid."""

    type = "tax"
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "invoices": (
            "business_id",
            "month",
            "sales_number",
            "sales_amount",
            "void_share",
            "red_letter_share",
            "customers",
            "largest_customer_share",
            "purchase_number",
            "purchase_amount",
            "suppliers",
        ),
        "returns": ("business_id", "month", "declared_revenue", "tax_due", "arrears", "filed_late"),
    }
    columns = (
        Column("declared_revenue_12m", "numeric", "log CNY", "Mean declared revenue a month, 12 months", -1),
        Column(
            "revenue_trend_3m", "numeric", "log ratio", "Declared revenue: last 3 months to the 3 before", -1
        ),
        Column(
            "revenue_trend_6m", "numeric", "log ratio", "Declared revenue: last 6 months to the 6 before", -1
        ),
        Column(
            "revenue_year_on_year",
            "numeric",
            "log ratio",
            "Declared revenue: last 3 months to a year ago",
            -1,
        ),
        Column("sales_volatility_12m", "numeric", "log ratio", "Variation of invoiced sales, 12 months", 1),
        Column(
            "invoices_trend_3m", "numeric", "log ratio", "Sales invoices: last 3 months to the 3 before", -1
        ),
        Column("purchases_to_sales_6m", "numeric", "log ratio", "Invoiced purchases to sales, 6 months", 1),
        Column("purchases_to_sales_18m", "numeric", "log ratio", "Invoiced purchases to sales, 18 months", 1),
        Column("void_share_12m", "numeric", "share", "Void sales invoices, 12 months", 1),
        Column("red_letter_share_12m", "numeric", "share", "Red-letter (reversed) invoices, 12 months", 1),
        Column("customers", "numeric", "log count", "Customers, 3 months", -1),
        Column(
            "customers_year_on_year", "numeric", "log ratio", "Customers: last 3 months to a year ago", -1
        ),
        Column("largest_customer_share", "numeric", "share", "Sales to the largest customer, 3 months", 1),
        Column("suppliers", "numeric", "log count", "Suppliers, 3 months", -1),
        Column("suppliers_trend_6m", "numeric", "log ratio", "Suppliers: last 6 months to the 6 before", -1),
        Column("tax_burden_12m", "numeric", "log ratio", "Tax due to declared revenue, 12 months", 0),
        Column(
            "arrears_to_revenue",
            "numeric",
            "ratio",
            "Unpaid tax (2 months) to monthly declared revenue",
            1,
            4,
        ),
        Column(
            "arrears_peak_12m", "numeric", "ratio", "Most unpaid tax in 12 months to declared revenue", 1, 4
        ),
        Column(
            "months_in_arrears_12m", "numeric", "share", "Share of months with unpaid tax, 12 months", 1, 4
        ),
        Column("filed_late_12m", "numeric", "share", "Share of returns filed late, 12 months", 1),
    )

    reasons: ClassVar[Mapping[str, tuple[str, str]]] = {
        "declared_revenue_12m": ("Low declared revenue", "申报收入偏低"),
        "revenue_trend_3m": ("Declared revenue has fallen in three months", "近三个月申报收入下降"),
        "revenue_trend_6m": ("Declared revenue has fallen in six months", "近六个月申报收入下降"),
        "revenue_year_on_year": ("Declared revenue is lower than a year ago", "申报收入同比下降"),
        "sales_volatility_12m": ("Invoiced sales vary much", "开票销售波动较大"),
        "invoices_trend_3m": ("Fewer sales invoices", "销售发票减少"),
        "purchases_to_sales_6m": ("Purchases are high for the sales of late", "近期进项相对销项偏高"),
        "purchases_to_sales_18m": ("Purchases are high for the sales", "进项相对销项偏高"),
        "void_share_12m": ("Many void invoices", "作废发票较多"),
        "red_letter_share_12m": ("Many reversed invoices", "红字发票较多"),
        "customers": ("Few customers", "客户数量较少"),
        "customers_year_on_year": ("Fewer customers than a year ago", "客户数量同比减少"),
        "largest_customer_share": ("Sales depend on one customer", "销售集中于单一客户"),
        "suppliers": ("Few suppliers", "供应商数量较少"),
        "suppliers_trend_6m": ("Fewer suppliers than before", "供应商数量减少"),
        "tax_burden_12m": ("Tax due for the revenue", "税负水平"),
        "arrears_to_revenue": ("Unpaid tax", "欠缴税款"),
        "arrears_peak_12m": ("Much unpaid tax in the year", "年内欠税较高"),
        "months_in_arrears_12m": ("Tax often unpaid", "欠税月份较多"),
        "filed_late_12m": ("Tax returns filed late", "逾期申报"),
    }

    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        """See `Party.features`."""
        invoices, returns = Panel(records["invoices"], as_of), Panel(records["returns"], as_of)
        sales, purchases, number = (
            invoices[name] for name in ("sales_amount", "purchase_amount", "sales_number")
        )
        customers, suppliers = invoices["customers"], invoices["suppliers"]
        revenue, arrears = returns["declared_revenue"], returns["arrears"]
        usual_revenue = mean(revenue, 0, 12)
        some_revenue = np.maximum(usual_revenue, 1)
        return pd.DataFrame(
            {
                "declared_revenue_12m": log_amount(usual_revenue),
                "revenue_trend_3m": trend(revenue, 3),
                "revenue_trend_6m": trend(revenue, 6),
                "revenue_year_on_year": year_on_year(revenue, 3),
                "sales_volatility_12m": volatility(sales, 0, 12),
                "invoices_trend_3m": trend(number, 3),
                "purchases_to_sales_6m": log_ratio(total(purchases, 0, 6), total(sales, 0, 6)),
                "purchases_to_sales_18m": log_ratio(total(purchases, 0, 18), total(sales, 0, 18)),
                "void_share_12m": mean(invoices["void_share"], 0, 12),
                "red_letter_share_12m": mean(invoices["red_letter_share"], 0, 12),
                "customers": log_amount(mean(customers, 0, 3)),
                "customers_year_on_year": year_on_year(customers, 3),
                "largest_customer_share": mean(invoices["largest_customer_share"], 0, 3),
                "suppliers": log_amount(mean(suppliers, 0, 3)),
                "suppliers_trend_6m": trend(suppliers, 6),
                "tax_burden_12m": log_ratio(total(returns["tax_due"], 0, 12), total(revenue, 0, 12)),
                "arrears_to_revenue": np.sqrt(mean(arrears, 0, 2) / some_revenue),
                "arrears_peak_12m": np.sqrt(highest(arrears, 0, 12) / some_revenue),
                "months_in_arrears_12m": share_of_months(arrears, 0, 12),
                "filed_late_12m": mean(returns["filed_late"], 0, 12),
            },
            index=as_of.index,
        )
