"""The features of party type `bank`."""

import numpy as np
import pytest

from clients.parties.bank import BankParty


def test_features_measure_what_they_say(features_of, records_of) -> None:
    records = records_of(BankParty, ["a"])
    accounts = records["accounts"]
    accounts["inflow"], accounts["outflow"] = 100.0, 90.0
    accounts.loc[accounts["month"] > np.datetime64("2022-12-01"), "inflow"] = 50.0
    records["applications"]["requested_amount"] = 87.5
    accounts["days_past_due"] = np.where(accounts["month"] == np.datetime64("2022-11-01"), 30, 0)
    row = features_of(BankParty, records, ["a"]).loc["a"]
    assert row["inflow_trend_3m"] == pytest.approx(np.log(0.5))
    assert row["inflow_year_on_year"] == pytest.approx(np.log(0.5))
    assert row["amount_to_inflow"] == pytest.approx(0)
    assert row["outflow_to_inflow_3m"] == pytest.approx(np.log(1.8))
    assert (row["days_past_due_12m"], row["months_past_due_12m"]) == (30, pytest.approx(1 / 12))
