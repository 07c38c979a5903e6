"""A tax bureau: VAT invoices issued and received, and the monthly tax returns.

Records: `invoices` and `returns`, each with a row per business and month. Amounts are in CNY.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from clients.parties.monthly import (
    Array,
    Feature,
    History,
    MonthlyParty,
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


def usual_revenue(past: History) -> Array:
    """Average monthly declared revenue over the last 12 months, at least 1 CNY, (businesses,)."""
    return np.maximum(mean(past["declared_revenue"], 0, 12), 1)


class TaxParty(MonthlyParty):
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
    # A block per feature: its meaning, the reason that a customer is told, and its computation.
    # fmt: off
    columns = (
        Feature(
            "declared_revenue_12m", "numeric", "log CNY", sign=-1,
            description="Average monthly declared revenue over the last 12 months",
            reason="The revenue declared to the tax bureau is low",
            reason_zh="向税务机关申报的收入偏低",
            compute=lambda past: log_amount(mean(past["declared_revenue"], 0, 12)),
        ),
        Feature(
            "revenue_trend_3m", "numeric", "log ratio", sign=-1,
            description="Declared revenue of the last 3 months, relative to the 3 before",
            reason="Declared revenue was lower in the last three months than in the three before",
            reason_zh="近三个月申报收入较前三个月下降",
            compute=lambda past: trend(past["declared_revenue"], 3),
        ),
        Feature(
            "revenue_trend_6m", "numeric", "log ratio", sign=-1,
            description="Declared revenue of the last 6 months, relative to the 6 before",
            reason="Declared revenue was lower in the last six months than in the six before",
            reason_zh="近六个月申报收入较前六个月下降",
            compute=lambda past: trend(past["declared_revenue"], 6),
        ),
        Feature(
            "revenue_year_on_year", "numeric", "log ratio", sign=-1,
            description="Declared revenue of the last 3 months, relative to a year ago",
            reason="Declared revenue was lower in the last three months than a year ago",
            reason_zh="近三个月申报收入同比下降",
            compute=lambda past: year_on_year(past["declared_revenue"], 3),
        ),
        Feature(
            "sales_volatility_12m", "numeric", "log ratio", sign=1,
            description="Variation of monthly invoiced sales over the last 12 months",
            reason="Invoiced sales vary strongly from month to month",
            reason_zh="每月开票销售额波动较大",
            compute=lambda past: volatility(past["sales_amount"], 0, 12),
        ),
        Feature(
            "invoices_trend_3m", "numeric", "log ratio", sign=-1,
            description="Number of sales invoices of the last 3 months, relative to the 3 before",
            reason="Fewer sales invoices were issued in the last three months than in the three before",
            reason_zh="近三个月开具的销售发票较前三个月减少",
            compute=lambda past: trend(past["sales_number"], 3),
        ),
        Feature(
            "purchases_to_sales_6m", "numeric", "log ratio", sign=1,
            description="Invoiced purchases relative to sales over the last 6 months",
            reason="Purchases were high compared with sales in the last six months",
            reason_zh="近六个月采购额相对销售额偏高",
            compute=lambda past: log_ratio(total(past["purchase_amount"], 0, 6), total(past["sales_amount"], 0, 6)),
        ),
        Feature(
            "purchases_to_sales_18m", "numeric", "log ratio", sign=1,
            description="Invoiced purchases relative to sales over the last 18 months",
            reason="Purchases were high compared with sales in the last eighteen months",
            reason_zh="近十八个月采购额相对销售额偏高",
            compute=lambda past: log_ratio(total(past["purchase_amount"], 0, 18), total(past["sales_amount"], 0, 18)),
        ),
        Feature(
            "void_share_12m", "numeric", "share", sign=1,
            description="Share of void sales invoices over the last 12 months",
            reason="Many sales invoices were cancelled in the last twelve months",
            reason_zh="近十二个月作废发票较多",
            compute=lambda past: mean(past["void_share"], 0, 12),
        ),
        Feature(
            "red_letter_share_12m", "numeric", "share", sign=1,
            description="Share of red-letter (reversed) invoices over the last 12 months",
            reason="Many sales invoices were reversed in the last twelve months",
            reason_zh="近十二个月红字发票较多",
            compute=lambda past: mean(past["red_letter_share"], 0, 12),
        ),
        Feature(
            "customers", "numeric", "log count", sign=-1,
            description="Average monthly number of customers over the last 3 months",
            reason="The business sells to few customers",
            reason_zh="企业的客户数量较少",
            compute=lambda past: log_amount(mean(past["customers"], 0, 3)),
        ),
        Feature(
            "customers_year_on_year", "numeric", "log ratio", sign=-1,
            description="Customers of the last 3 months, relative to a year ago",
            reason="The business has fewer customers than a year ago",
            reason_zh="企业的客户数量同比减少",
            compute=lambda past: year_on_year(past["customers"], 3),
        ),
        Feature(
            "largest_customer_share", "numeric", "share", sign=1,
            description="Share of sales to the largest customer over the last 3 months",
            reason="A large share of sales goes to one customer",
            reason_zh="销售集中于单一客户",
            compute=lambda past: mean(past["largest_customer_share"], 0, 3),
        ),
        Feature(
            "suppliers", "numeric", "log count", sign=-1,
            description="Average monthly number of suppliers over the last 3 months",
            reason="The business buys from few suppliers",
            reason_zh="企业的供应商数量较少",
            compute=lambda past: log_amount(mean(past["suppliers"], 0, 3)),
        ),
        Feature(
            "suppliers_trend_6m", "numeric", "log ratio", sign=-1,
            description="Suppliers of the last 6 months, relative to the 6 before",
            reason="The business had fewer suppliers in the last six months than in the six before",
            reason_zh="近六个月供应商数量较前六个月减少",
            compute=lambda past: trend(past["suppliers"], 6),
        ),
        Feature(
            "tax_burden_12m", "numeric", "log ratio",
            description="Tax due relative to declared revenue over the last 12 months",
            reason="Businesses with a similar ratio of tax to revenue default more often than others",
            reason_zh="税负水平相近企业的违约风险较高",
            compute=lambda past: log_ratio(total(past["tax_due"], 0, 12), total(past["declared_revenue"], 0, 12)),
        ),
        Feature(
            "arrears_to_revenue", "numeric", "ratio", sign=1, grade=4,
            description="Unpaid tax of the last 2 months, relative to monthly declared revenue (square root)",
            reason="Taxes were left unpaid in the last two months",
            reason_zh="近两个月存在欠缴税款",
            compute=lambda past: np.sqrt(mean(past["arrears"], 0, 2) / usual_revenue(past)),
        ),
        Feature(
            "arrears_peak_12m", "numeric", "ratio", sign=1, grade=4,
            description="Highest unpaid tax of the last 12 months, relative to monthly declared revenue (square root)",
            reason="A large amount of tax was left unpaid at some time in the last twelve months",
            reason_zh="近十二个月欠税金额曾较高",
            compute=lambda past: np.sqrt(highest(past["arrears"], 0, 12) / usual_revenue(past)),
        ),
        Feature(
            "months_in_arrears_12m", "numeric", "share", sign=1, grade=4,
            description="Share of the last 12 months with unpaid tax",
            reason="Taxes were left unpaid in several of the last twelve months",
            reason_zh="近十二个月中多个月存在欠税",
            compute=lambda past: share_of_months(past["arrears"], 0, 12),
        ),
        Feature(
            "filed_late_12m", "numeric", "share", sign=1,
            description="Share of tax returns filed late over the last 12 months",
            reason="Tax returns were filed late in the last twelve months",
            reason_zh="近十二个月存在逾期申报",
            compute=lambda past: mean(past["filed_late"], 0, 12),
        ),
    )
    # fmt: on
