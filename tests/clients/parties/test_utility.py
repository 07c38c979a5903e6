"""The features of party type `utility`."""

import numpy as np
import pytest

from clients.parties.utility import UtilityParty


def test_features_measure_what_they_say(features_of, records_of) -> None:
    records = records_of(UtilityParty, ["a"])
    meters, bills = records["meters"], records["bills"]
    recent = meters["month"] > np.datetime64("2022-12-01")
    meters["electricity"] = np.where(recent, 50.0, 100.0)
    meters["water"] = np.where(meters["month"] > np.datetime64("2022-09-01"), 30.0, 10.0)
    bills["billed"], bills["unpaid"], bills["days_late"] = 99.0, 0.0, 0.0
    bills.loc[bills["month"] == np.datetime64("2023-03-01"), ["unpaid", "days_late"]] = [398.0, 24.0]

    row = features_of(UtilityParty, records, ["a"]).loc["a"]

    assert row["electricity_trend_3m"] == pytest.approx(np.log(0.5))
    assert row["electricity_year_on_year"] == pytest.approx(np.log(0.5))
    assert row["water_trend_6m"] == pytest.approx(np.log(3))
    assert row["electricity_12m"] == pytest.approx(np.log1p((9 * 100 + 3 * 50) / 12))
    assert row["days_late_3m"] == pytest.approx(np.log1p(8))
    assert row["days_late_12m"] == pytest.approx(np.log1p(2))
    assert row["most_days_late_12m"] == pytest.approx(np.log1p(24))
    assert row["months_late_12m"] == pytest.approx(1 / 12)
    assert row["unpaid_to_billed"] == pytest.approx(np.log(2))
