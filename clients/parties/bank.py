"""A bank: its accounts month by month, and the loan applications with the facts that a loan officer notes.

Records: `applications` (a row per business with label, observation month and facts) and `accounts` (a row per business
and month). Amounts are in CNY. The bank sees only the payments that go through its own accounts.
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
    total,
    trend,
    volatility,
    year_on_year,
)


class BankParty(MonthlyParty):
    """Holds the label: default within the performance window."""

    type = "bank"
    label = "default"
    month = "observation_month"
    segments = ("sector", "region", "area", "size", "ownership", "first_time_borrower")
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "applications": (
            "business_id",
            "observation_month",
            "default",
            "sector",
            "region",
            "area",
            "size",
            "ownership",
            "first_time_borrower",
            "purpose",
            "business_age",
            "account_age",
            "requested_amount",
        ),
        "accounts": (
            "business_id",
            "month",
            "inflow",
            "outflow",
            "average_balance",
            "minimum_balance",
            "overdraft_days",
            "returned_payments",
            "debt",
            "debt_service",
            "days_past_due",
        ),
    }
    # A block per feature: its meaning, the reason that a customer is told, and its computation.
    # fmt: off
    columns = (
        Feature(
            "sector", "categorical", grade=2,
            description="Industry of the business",
            reason="Businesses in this industry default more often than others",
            reason_zh="所属行业的违约风险较高",
            compute=lambda past: past["sector"],
        ),
        Feature(
            "region", "categorical", grade=2,
            description="Part of the country in which the business is located",
            reason="Businesses in this region default more often than others",
            reason_zh="所在地区的违约风险较高",
            compute=lambda past: past["region"],
        ),
        Feature(
            "area", "categorical", grade=2,
            description="Whether the business is located in a county or a city",
            reason="Businesses in this kind of area default more often than others",
            reason_zh="所在城乡区域的违约风险较高",
            compute=lambda past: past["area"],
        ),
        Feature(
            "size", "categorical", grade=2,
            description="Size class by annual sales",
            reason="Businesses of this size default more often than others",
            reason_zh="同等规模企业的违约风险较高",
            compute=lambda past: past["size"],
        ),
        Feature(
            "ownership", "categorical", grade=2,
            description="Kind of ownership of the business",
            reason="Businesses with this kind of ownership default more often than others",
            reason_zh="该类所有制企业的违约风险较高",
            compute=lambda past: past["ownership"],
        ),
        Feature(
            "first_time_borrower", "categorical",
            description="Whether the business has never had a bank loan: yes or no",
            reason="Businesses with a similar borrowing history default more often than others",
            reason_zh="借贷经历相似企业的违约风险较高",
            compute=lambda past: past["first_time_borrower"],
        ),
        Feature(
            "purpose", "categorical",
            description="Purpose of the loan",
            reason="Loans for this purpose default more often than others",
            reason_zh="该用途贷款的违约风险较高",
            compute=lambda past: past["purpose"],
        ),
        Feature(
            "business_age", "numeric", "log months", sign=-1, grade=2,
            description="Months since the business was founded",
            reason="The business was founded only recently",
            reason_zh="企业成立时间较短",
            compute=lambda past: log_amount(past["business_age"]),
        ),
        Feature(
            "account_age", "numeric", "log months", sign=-1,
            description="Months since the account was opened",
            reason="The account of the business was opened only recently",
            reason_zh="企业开户时间较短",
            compute=lambda past: log_amount(past["account_age"]),
        ),
        Feature(
            "requested_amount", "numeric", "log CNY",
            description="Amount applied for",
            reason="Loans of this amount default more often than others",
            reason_zh="同等金额贷款的违约风险较高",
            compute=lambda past: log_amount(past["requested_amount"]),
        ),
        Feature(
            "amount_to_inflow", "numeric", "log ratio", sign=1,
            description="Amount applied for, relative to average monthly inflow (12 months)",
            reason="The amount applied for is high compared with the money coming into the account",
            reason_zh="申请金额相对账户流入偏高",
            compute=lambda past: log_ratio(past["requested_amount"], mean(past["inflow"], 0, 12)),
        ),
        Feature(
            "inflow_12m", "numeric", "log CNY", sign=-1, grade=4,
            description="Average monthly inflow over the last 12 months",
            reason="Little money came into the account in the last twelve months",
            reason_zh="近十二个月账户流入偏低",
            compute=lambda past: log_amount(mean(past["inflow"], 0, 12)),
        ),
        Feature(
            "inflow_trend_3m", "numeric", "log ratio", sign=-1, grade=4,
            description="Inflow of the last 3 months, relative to the 3 before",
            reason="Less money came into the account in the last three months than in the three before",
            reason_zh="近三个月账户流入较前三个月下降",
            compute=lambda past: trend(past["inflow"], 3),
        ),
        Feature(
            "inflow_trend_6m", "numeric", "log ratio", sign=-1, grade=4,
            description="Inflow of the last 6 months, relative to the 6 before",
            reason="Less money came into the account in the last six months than in the six before",
            reason_zh="近六个月账户流入较前六个月下降",
            compute=lambda past: trend(past["inflow"], 6),
        ),
        Feature(
            "inflow_year_on_year", "numeric", "log ratio", sign=-1, grade=4,
            description="Inflow of the last 3 months, relative to a year ago",
            reason="Less money came into the account in the last three months than a year ago",
            reason_zh="近三个月账户流入同比下降",
            compute=lambda past: year_on_year(past["inflow"], 3),
        ),
        Feature(
            "inflow_volatility_12m", "numeric", "log ratio", sign=1, grade=4,
            description="Variation of monthly inflow over the last 12 months",
            reason="The money coming into the account varies strongly from month to month",
            reason_zh="账户每月流入波动较大",
            compute=lambda past: volatility(past["inflow"], 0, 12),
        ),
        Feature(
            "outflow_to_inflow_3m", "numeric", "log ratio", sign=1, grade=4,
            description="Outflow relative to inflow over the last 3 months",
            reason="Payments from the account were high compared with the money coming in over the last three months",
            reason_zh="近三个月账户支出相对流入偏高",
            compute=lambda past: log_ratio(total(past["outflow"], 0, 3), total(past["inflow"], 0, 3)),
        ),
        Feature(
            "outflow_to_inflow_12m", "numeric", "log ratio", sign=1, grade=4,
            description="Outflow relative to inflow over the last 12 months",
            reason="Payments from the account were high compared with the money coming in over the last twelve months",
            reason_zh="近十二个月账户支出相对流入偏高",
            compute=lambda past: log_ratio(total(past["outflow"], 0, 12), total(past["inflow"], 0, 12)),
        ),
        Feature(
            "balance_to_inflow_3m", "numeric", "log ratio", sign=-1, grade=4,
            description="Average balance of the last 3 months, relative to average monthly inflow (12 months)",
            reason="The account balance of the last three months was low compared with the money coming in",
            reason_zh="近三个月账户余额相对流入偏低",
            compute=lambda past: log_ratio(mean(past["average_balance"], 0, 3), mean(past["inflow"], 0, 12)),
        ),
        Feature(
            "balance_to_inflow_12m", "numeric", "log ratio", sign=-1, grade=4,
            description="Average balance of the last 12 months, relative to average monthly inflow",
            reason="The account balance of the last twelve months was low compared with the money coming in",
            reason_zh="近十二个月账户余额相对流入偏低",
            compute=lambda past: log_ratio(mean(past["average_balance"], 0, 12), mean(past["inflow"], 0, 12)),
        ),
        Feature(
            "balance_trend_3m", "numeric", "log ratio", sign=-1, grade=4,
            description="Balance of the last 3 months, relative to the 3 before",
            reason="The account balance was lower in the last three months than in the three before",
            reason_zh="近三个月账户余额较前三个月下降",
            compute=lambda past: trend(past["average_balance"], 3),
        ),
        Feature(
            "minimum_to_average_3m", "numeric", "log ratio", sign=-1, grade=4,
            description="Lowest balance relative to the average balance over the last 3 months",
            reason="The account balance fell very low at times in the last three months",
            reason_zh="近三个月账户余额曾降至较低水平",
            compute=lambda past: log_ratio(mean(past["minimum_balance"], 0, 3), mean(past["average_balance"], 0, 3)),
        ),
        Feature(
            "overdraft_days_3m", "numeric", "log days", sign=1, grade=4,
            description="Days in overdraft in the last 3 months",
            reason="The account was overdrawn on some days in the last three months",
            reason_zh="近三个月账户曾出现透支",
            compute=lambda past: log_amount(total(past["overdraft_days"], 0, 3)),
        ),
        Feature(
            "overdraft_days_12m", "numeric", "log days", sign=1, grade=4,
            description="Days in overdraft in the last 12 months",
            reason="The account was overdrawn on some days in the last twelve months",
            reason_zh="近十二个月账户曾出现透支",
            compute=lambda past: log_amount(total(past["overdraft_days"], 0, 12)),
        ),
        Feature(
            "returned_payments_12m", "numeric", "log count", sign=1, grade=4,
            description="Payments returned unpaid in the last 12 months",
            reason="Payments were returned unpaid in the last twelve months",
            reason_zh="近十二个月有付款被退回",
            compute=lambda past: log_amount(total(past["returned_payments"], 0, 12)),
        ),
        Feature(
            "debt_to_inflow", "numeric", "ratio", sign=1, grade=4,
            description="Debt at this bank, relative to average monthly inflow (12 months)",
            reason="The debt owed to this bank is high compared with the money coming into the account",
            reason_zh="在本行的负债相对账户流入偏高",
            compute=lambda past: mean(past["debt"], 0, 1) / np.maximum(mean(past["inflow"], 0, 12), 1),
        ),
        Feature(
            "service_to_inflow_3m", "numeric", "ratio", sign=1, grade=4,
            description="Debt service relative to inflow over the last 3 months",
            reason="Loan repayments were high compared with the money coming in over the last three months",
            reason_zh="近三个月还本付息相对账户流入偏高",
            compute=lambda past: total(past["debt_service"], 0, 3) / np.maximum(total(past["inflow"], 0, 3), 1),
        ),
        Feature(
            "days_past_due_12m", "numeric", "days", sign=1, grade=4,
            description="Highest number of days past due in the last 12 months",
            reason="A loan payment was overdue for many days in the last twelve months",
            reason_zh="近十二个月有还款逾期天数较长",
            compute=lambda past: highest(past["days_past_due"], 0, 12),
        ),
        Feature(
            "months_past_due_12m", "numeric", "share", sign=1, grade=4,
            description="Share of the last 12 months with a payment past due",
            reason="Loan payments were overdue in several of the last twelve months",
            reason_zh="近十二个月中多个月还款逾期",
            compute=lambda past: share_of_months(past["days_past_due"], 0, 12),
        ),
    )
    # fmt: on
