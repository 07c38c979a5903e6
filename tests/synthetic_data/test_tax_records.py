"""The tax bureau's records."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def tax(dataset: Path) -> pd.DataFrame:
    invoices = pd.read_parquet(dataset / "tax" / "invoices.parquet")
    returns = pd.read_parquet(dataset / "tax" / "returns.parquet")
    assert (invoices[["business_id", "month"]] == returns[["business_id", "month"]]).all(axis=None)
    return invoices.merge(returns, on=["business_id", "month"])


def test_shares_are_shares_and_counts_count(tax: pd.DataFrame) -> None:
    for name in ("void_share", "red_letter_share", "largest_customer_share"):
        assert tax[name].between(0, 1).all()
    assert (tax[["sales_number", "customers", "suppliers"]] >= 1).all(axis=None)
    assert tax["filed_late"].isin([0, 1]).all()


def test_declared_revenue_follows_invoices(tax: pd.DataFrame) -> None:
    firms = tax.groupby("business_id")[["sales_amount", "declared_revenue"]].sum()
    assert np.corrcoef(np.log(firms["sales_amount"]), np.log(firms["declared_revenue"]))[0, 1] > 0.98


def test_some_revenue_never_reaches_the_bureau(dataset: Path, tax: pd.DataFrame) -> None:
    truth = pd.read_parquet(dataset / "truth" / "applicants.parquet").set_index("business_id")
    declared = tax.groupby("business_id")["declared_revenue"].mean()
    assert (declared / truth["scale"]).median() == pytest.approx(0.88, abs=0.06)


def test_arrears_tell_a_shortfall(dataset: Path, tax: pd.DataFrame) -> None:
    truth = pd.read_parquet(dataset / "truth" / "applicants.parquet")
    now = tax.merge(truth, left_on=["business_id", "month"], right_on=["business_id", "observation_month"])
    assert ((now["arrears"] > 0) == (now["stretch"] > 0)).mean() > 0.98
