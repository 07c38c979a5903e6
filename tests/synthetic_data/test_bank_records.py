"""The bank's records."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def accounts(dataset: Path) -> pd.DataFrame:
    accounts = pd.read_parquet(dataset / "bank" / "accounts.parquet")
    applications = pd.read_parquet(dataset / "bank" / "applications.parquet")
    return accounts.merge(applications, on="business_id")


def test_everybody_who_applies_has_an_account(dataset: Path, accounts: pd.DataFrame) -> None:
    applications = pd.read_parquet(dataset / "bank" / "applications.parquet")
    assert set(applications["business_id"]) == set(accounts["business_id"])
    assert applications["business_id"].is_unique


def test_the_account_starts_when_it_was_opened(accounts: pd.DataFrame) -> None:
    before = accounts[accounts["month"] <= accounts["observation_month"]]
    months = before.groupby("business_id").agg(rows=("month", "size"), age=("account_age", "first"))
    assert (months["rows"] == np.minimum(months["age"], 18)).all()


def test_first_time_borrowers_have_no_history_before_their_loan(accounts: pd.DataFrame) -> None:
    before = accounts[accounts["month"] <= accounts["observation_month"]]
    first = before[before["first_time_borrower"] == "yes"]
    assert (first[["debt", "debt_service", "days_past_due"]] == 0).all(axis=None)
    assert (before.loc[before["first_time_borrower"] == "no", "debt"] > 0).mean() > 0.8


def test_balances_are_consistent(accounts: pd.DataFrame) -> None:
    assert (accounts["minimum_balance"] <= accounts["average_balance"]).all()
    assert accounts["overdraft_days"].between(0, 30).all()
    assert accounts["days_past_due"].isin([0, 30, 60, 90]).all()
    assert (accounts[["inflow", "outflow"]] >= 0).all(axis=None)


def test_nobody_is_past_due_when_it_applies(accounts: pd.DataFrame) -> None:
    now = accounts[accounts["month"] == accounts["observation_month"]]
    assert (now["days_past_due"] == 0).all()


def test_defaulters_show_strain_in_the_account(accounts: pd.DataFrame) -> None:
    before = accounts[accounts["month"] <= accounts["observation_month"]]
    strain = before.groupby("default")[["overdraft_days", "returned_payments"]].mean()
    assert (strain.loc[1] > strain.loc[0]).all()
    assert strain["overdraft_days"][1] > 1.15 * strain["overdraft_days"][0]
