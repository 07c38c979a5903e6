"""The features of party type `supply_chain`."""

import numpy as np
import pandas as pd
import pytest

from clients.parties.supply_chain import SupplyChainParty

IDS = ["a", "b", "c"]
OBSERVED = np.datetime64("2023-03-01", "s")


@pytest.fixture
def features(as_of):
    party = object.__new__(SupplyChainParty)
    return lambda records, ids=IDS: party.features(records, as_of(ids))


def test_every_declared_column_is_computed(features, records_of) -> None:
    frame = features(records_of(SupplyChainParty, IDS))
    assert list(frame.columns) == [column.name for column in SupplyChainParty.columns]
    assert frame.index.tolist() == IDS
    assert frame.notna().all(axis=None)


def test_later_records_change_nothing(features, records_of) -> None:
    records = records_of(SupplyChainParty, IDS)
    changed = {name: table.copy() for name, table in records.items()}
    for table in changed.values():
        if "month" in table:
            numbers = table.columns.difference(["business_id", "month"])
            table.loc[table["month"] > OBSERVED, numbers] *= 7
    cut = {
        name: table[table["month"] <= OBSERVED] if "month" in table else table
        for name, table in records.items()
    }
    expected = features(records)
    pd.testing.assert_frame_equal(features(changed), expected)
    pd.testing.assert_frame_equal(features(cut), expected)


def test_a_business_without_records_is_a_row_of_missing_values(features, records_of) -> None:
    frame = features(records_of(SupplyChainParty, IDS), [*IDS, "stranger"])
    assert frame.loc["stranger"].isna().all()


def test_other_businesses_and_the_order_of_rows_do_not_matter(features, records_of) -> None:
    records = records_of(SupplyChainParty, IDS)
    shuffled = {name: table.sample(frac=1, random_state=1) for name, table in records.items()}
    alone = {name: table[table["business_id"] == "b"] for name, table in records.items()}
    expected = features(records)
    pd.testing.assert_frame_equal(features(shuffled), expected)
    pd.testing.assert_frame_equal(features(alone, ["b"]), expected.loc[["b"]], check_dtype=False)


def test_one_month_of_records_is_enough_and_nothing_becomes_infinite(features, records_of) -> None:
    records = records_of(SupplyChainParty, IDS)
    short = {name: t[t["month"] == OBSERVED] if "month" in t else t for name, t in records.items()}
    zero = {name: t.copy() for name, t in short.items()}
    for table in zero.values():
        table[table.columns.difference(["business_id", "month"])] = 0.0
    for case in (short, zero):
        numbers = features(case).select_dtypes("number").to_numpy(dtype=float)
        assert not np.isinf(numbers).any()
        assert (~np.isnan(numbers)).any(axis=1).all()


def test_features_measure_what_they_say(features, records_of) -> None:
    records = records_of(SupplyChainParty, ["a"])
    receivables, orders = records["receivables"], records["orders"]
    receivables[["not_due", "overdue_30", "overdue_90", "overdue_older"]] = [60.0, 20.0, 15.0, 5.0]
    orders["orders_amount"] = 50.0
    orders["core_rating"] = np.where(orders["month"] == np.datetime64("2022-06-01"), 40, 70)
    row = features(records, ["a"]).loc["a"]
    assert row["overdue_share_3m"] == pytest.approx(0.4)
    assert row["receivables_to_orders"] == pytest.approx(np.log(2))
    assert (row["core_rating"], row["core_rating_lowest_12m"]) == (70, 40)
    assert row["overdue_trend_3m"] == pytest.approx(0)
