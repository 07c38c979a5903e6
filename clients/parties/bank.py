"""A bank: its accounts month by month, and the loan applications with the facts that a loan officer writes
down.

Records: `applications` (one row per business: label, observation month, facts) and `accounts` (one row per
business and month). Amounts are CNY. The bank sees only the payments that run through it.
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

CATEGORIES = ("sector", "region", "area", "size", "ownership", "first_time_borrower", "purpose")
"""What the application form has boxes for."""


class BankParty(Party):
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
            *CATEGORIES,
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
    columns = (
        Column("sector", "categorical", description="Industry of the business", grade=2),
        Column("region", "categorical", description="Part of the country", grade=2),
        Column("area", "categorical", description="County or urban", grade=2),
        Column("size", "categorical", description="Size class by annual sales", grade=2),
        Column("ownership", "categorical", description="Kind of ownership", grade=2),
        Column("first_time_borrower", "categorical", description="Never had a bank loan before: yes or no"),
        Column("purpose", "categorical", description="Purpose of the loan"),
        Column("business_age", "numeric", "log months", "Months since founding", -1, 2),
        Column("account_age", "numeric", "log months", "Months since the account was opened", -1),
        Column("requested_amount", "numeric", "log CNY", "Amount applied for", 0),
        Column(
            "amount_to_inflow", "numeric", "log ratio", "Amount applied for to monthly inflow (12 months)", 1
        ),
        Column("inflow_12m", "numeric", "log CNY", "Mean monthly inflow, 12 months", -1, 4),
        Column("inflow_trend_3m", "numeric", "log ratio", "Inflow: last 3 months to the 3 before", -1, 4),
        Column("inflow_trend_6m", "numeric", "log ratio", "Inflow: last 6 months to the 6 before", -1, 4),
        Column("inflow_year_on_year", "numeric", "log ratio", "Inflow: last 3 months to a year ago", -1, 4),
        Column(
            "inflow_volatility_12m", "numeric", "log ratio", "Variation of monthly inflow, 12 months", 1, 4
        ),
        Column("outflow_to_inflow_3m", "numeric", "log ratio", "Outflow to inflow, 3 months", 1, 4),
        Column("outflow_to_inflow_12m", "numeric", "log ratio", "Outflow to inflow, 12 months", 1, 4),
        Column(
            "balance_to_inflow_3m",
            "numeric",
            "log ratio",
            "Average balance (3 months) to monthly inflow",
            -1,
            4,
        ),
        Column(
            "balance_to_inflow_12m", "numeric", "log ratio", "Average balance to inflow, 12 months", -1, 4
        ),
        Column("balance_trend_3m", "numeric", "log ratio", "Balance: last 3 months to the 3 before", -1, 4),
        Column(
            "minimum_to_average_3m", "numeric", "log ratio", "Minimum to average balance, 3 months", -1, 4
        ),
        Column("overdraft_days_3m", "numeric", "log days", "Days in overdraft, 3 months", 1, 4),
        Column("overdraft_days_12m", "numeric", "log days", "Days in overdraft, 12 months", 1, 4),
        Column("returned_payments_12m", "numeric", "log count", "Payments returned unpaid, 12 months", 1, 4),
        Column("debt_to_inflow", "numeric", "ratio", "Debt held here to monthly inflow (12 months)", 1, 4),
        Column("service_to_inflow_3m", "numeric", "ratio", "Debt service to inflow, 3 months", 1, 4),
        Column("days_past_due_12m", "numeric", "days", "Most days past due in 12 months", 1, 4),
        Column("months_past_due_12m", "numeric", "share", "Share of months past due, 12 months", 1, 4),
    )

    reasons: ClassVar[Mapping[str, tuple[str, str]]] = {
        "sector": ("Risk in the industry", "所属行业风险较高"),
        "region": ("Risk in the region", "所在地区风险较高"),
        "area": ("Risk in the area", "所在区域风险较高"),
        "size": ("Size of the business", "企业规模"),
        "ownership": ("Kind of ownership", "所有制类型"),
        "first_time_borrower": ("Credit history", "信贷历史"),
        "purpose": ("Purpose of the loan", "贷款用途"),
        "business_age": ("The business is young", "企业成立时间较短"),
        "account_age": ("The account is new", "开户时间较短"),
        "requested_amount": ("Amount applied for", "申请金额"),
        "amount_to_inflow": ("Amount applied for is high for the inflow", "申请金额相对账户流入偏高"),
        "inflow_12m": ("Low inflow to the account", "账户流入偏低"),
        "inflow_trend_3m": ("Inflow has fallen in three months", "近三个月账户流入下降"),
        "inflow_trend_6m": ("Inflow has fallen in six months", "近六个月账户流入下降"),
        "inflow_year_on_year": ("Inflow is lower than a year ago", "账户流入同比下降"),
        "inflow_volatility_12m": ("Inflow varies much", "账户流入波动较大"),
        "outflow_to_inflow_3m": ("Lately more goes out than comes in", "近期支出高于收入"),
        "outflow_to_inflow_12m": ("Over the year more goes out than comes in", "全年支出高于收入"),
        "balance_to_inflow_3m": ("Low balance of late", "近期账户余额偏低"),
        "balance_to_inflow_12m": ("Low balance over the year", "全年账户余额偏低"),
        "balance_trend_3m": ("The balance has fallen", "账户余额下降"),
        "minimum_to_average_3m": ("The balance runs low at times", "账户余额时有不足"),
        "overdraft_days_3m": ("Overdrafts of late", "近期透支"),
        "overdraft_days_12m": ("Overdrafts over the year", "全年透支"),
        "returned_payments_12m": ("Payments returned unpaid", "付款被退回"),
        "debt_to_inflow": ("High debt for the inflow", "负债相对流入偏高"),
        "service_to_inflow_3m": ("High debt service for the inflow", "还本付息压力较大"),
        "days_past_due_12m": ("Payments past due", "存在逾期还款"),
        "months_past_due_12m": ("Often past due", "逾期次数较多"),
    }

    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        """See `Party.features`."""
        facts = records["applications"].set_index("business_id").reindex(as_of.index)
        accounts = Panel(records["accounts"], as_of)
        inflow, outflow, balance = accounts["inflow"], accounts["outflow"], accounts["average_balance"]
        overdraft, past_due = accounts["overdraft_days"], accounts["days_past_due"]
        usual_inflow = mean(inflow, 0, 12)
        usual_balance = mean(balance, 0, 3)
        amount = facts["requested_amount"].to_numpy(dtype=np.float64)
        numbers = {
            "business_age": log_amount(facts["business_age"].to_numpy(dtype=np.float64)),
            "account_age": log_amount(facts["account_age"].to_numpy(dtype=np.float64)),
            "requested_amount": log_amount(amount),
            "amount_to_inflow": log_ratio(amount, usual_inflow),
            "inflow_12m": log_amount(usual_inflow),
            "inflow_trend_3m": trend(inflow, 3),
            "inflow_trend_6m": trend(inflow, 6),
            "inflow_year_on_year": year_on_year(inflow, 3),
            "inflow_volatility_12m": volatility(inflow, 0, 12),
            "outflow_to_inflow_3m": log_ratio(total(outflow, 0, 3), total(inflow, 0, 3)),
            "outflow_to_inflow_12m": log_ratio(total(outflow, 0, 12), total(inflow, 0, 12)),
            "balance_to_inflow_3m": log_ratio(usual_balance, usual_inflow),
            "balance_to_inflow_12m": log_ratio(mean(balance, 0, 12), usual_inflow),
            "balance_trend_3m": trend(balance, 3),
            "minimum_to_average_3m": log_ratio(mean(accounts["minimum_balance"], 0, 3), usual_balance),
            "overdraft_days_3m": log_amount(total(overdraft, 0, 3)),
            "overdraft_days_12m": log_amount(total(overdraft, 0, 12)),
            "returned_payments_12m": log_amount(total(accounts["returned_payments"], 0, 12)),
            "debt_to_inflow": mean(accounts["debt"], 0, 1) / np.maximum(usual_inflow, 1),
            "service_to_inflow_3m": total(accounts["debt_service"], 0, 3)
            / np.maximum(total(inflow, 0, 3), 1),
            "days_past_due_12m": highest(past_due, 0, 12),
            "months_past_due_12m": share_of_months(past_due, 0, 12),
        }
        return pd.DataFrame({name: facts[name] for name in CATEGORIES} | numbers, index=as_of.index)
