"""The features of party type `supply_chain`."""

import numpy as np
import pytest

from clients.parties.supply_chain import SupplyChainParty


def test_features_measure_what_they_say(features_of, records_of) -> None:
    records = records_of(SupplyChainParty, ["a"])
    receivables, orders = records["receivables"], records["orders"]
    receivables[["not_due", "overdue_30", "overdue_90", "overdue_older"]] = [60.0, 20.0, 15.0, 5.0]
    orders["orders_amount"] = 50.0
    orders["core_rating"] = np.where(orders["month"] == np.datetime64("2022-06-01"), 40, 70)
    row = features_of(SupplyChainParty, records, ["a"]).loc["a"]
    assert row["overdue_share_3m"] == pytest.approx(0.4)
    assert row["receivables_to_orders"] == pytest.approx(np.log(2))
    assert (row["core_rating"], row["core_rating_lowest_12m"]) == (70, 40)
    assert row["overdue_trend_3m"] == pytest.approx(0)
