"""The supply-chain platform's records."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def platform(dataset: Path) -> pd.DataFrame:
    orders = pd.read_parquet(dataset / "supply_chain" / "orders.parquet")
    receivables = pd.read_parquet(dataset / "supply_chain" / "receivables.parquet")
    records = orders.merge(receivables, on=["business_id", "month"])
    assert len(records) == len(orders) == len(receivables)
    return records


@pytest.fixture(scope="module")
def at_application(dataset: Path, platform: pd.DataFrame) -> pd.DataFrame:
    truth = pd.read_parquet(dataset / "truth" / "applicants.parquet")
    return platform.merge(
        truth, left_on=["business_id", "month"], right_on=["business_id", "observation_month"]
    )


def test_values_are_within_bounds(platform: pd.DataFrame) -> None:
    assert platform[["on_time_share", "largest_buyer_share"]].stack().between(0, 1).all()
    assert (platform["tenure"] >= 1).all()
    assert (platform[["not_due", "overdue_30", "overdue_90", "overdue_older"]] >= 0).all(axis=None)


def test_orders_run_ahead_of_sales(at_application: pd.DataFrame) -> None:
    coming = np.log(at_application["orders_amount"] / at_application["scale"])
    ahead = np.corrcoef(coming, at_application["orders"])[0, 1]
    today = np.corrcoef(coming, at_application["demand"])[0, 1]
    assert ahead > today + 0.01


def test_strained_firms_deliver_late(at_application: pd.DataFrame) -> None:
    strained = at_application["stretch"] > 0.2
    on_time = at_application.groupby(strained)["on_time_share"].mean()
    assert on_time[True] < on_time[False] - 0.03


def test_overdue_receivables_tell_late_customers(at_application: pd.DataFrame) -> None:
    overdue = at_application["overdue_30"] / (at_application["not_due"] + 1)
    assert overdue.corr(at_application["customer_lateness"], method="spearman") > 0.4
