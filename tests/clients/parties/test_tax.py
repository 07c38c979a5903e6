"""The features of party type `tax`."""

import numpy as np
import pytest

from clients.parties.tax import TaxParty

OBSERVED = np.datetime64("2023-03-01", "s")


def test_features_measure_what_they_say(features_of, records_of) -> None:
    records = records_of(TaxParty, ["a"])
    returns, invoices = records["returns"], records["invoices"]
    returns["declared_revenue"], returns["arrears"] = 200.0, 0.0
    returns.loc[returns["month"] == OBSERVED, "arrears"] = 100.0
    invoices["sales_amount"], invoices["purchase_amount"] = 100.0, 80.0
    row = features_of(TaxParty, records, ["a"]).loc["a"]
    assert row["purchases_to_sales_6m"] == pytest.approx(np.log(0.8))
    assert row["arrears_peak_12m"] == pytest.approx(np.sqrt(0.5))
    assert row["arrears_to_revenue"] == pytest.approx(np.sqrt(0.25))
    assert row["months_in_arrears_12m"] == pytest.approx(1 / 12)
    assert row["revenue_trend_3m"] == pytest.approx(0)
