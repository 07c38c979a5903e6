"""What holds for every party type with monthly records; `clients.data.contract` checks the rest."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.parties import party_type
from clients.parties.bank import BankParty
from clients.parties.base import Party
from clients.parties.supply_chain import SupplyChainParty
from clients.parties.tax import TaxParty
from clients.parties.utility import UtilityParty

IDS = ["a", "b", "c"]
OBSERVED = np.datetime64("2023-03-01", "s")

pytestmark = pytest.mark.parametrize("kind", [BankParty, TaxParty, SupplyChainParty, UtilityParty])


def numbers_in(table: pd.DataFrame) -> pd.Index:
    return table.select_dtypes("number").columns


def up_to_observed(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["month"] <= OBSERVED] if "month" in table else table


def test_the_type_is_installed(kind: type[Party]) -> None:
    assert party_type(kind.type) is kind


def test_every_declared_column_is_computed(kind: type[Party], records_of, features_of) -> None:
    features = features_of(kind, records_of(kind, IDS), IDS)

    assert list(features.columns) == [column.name for column in kind.columns]
    assert features.index.tolist() == IDS
    assert features.notna().all(axis=None)


def test_even_records_that_are_not_cut_are_not_looked_ahead_in(
    kind: type[Party], records_of, features_of
) -> None:
    records = records_of(kind, IDS)
    changed = {name: table.copy() for name, table in records.items()}
    for table in changed.values():
        if "month" in table:
            table.loc[table["month"] > OBSERVED, numbers_in(table)] *= 7

    expected = features_of(kind, {name: up_to_observed(table) for name, table in records.items()}, IDS)

    pd.testing.assert_frame_equal(features_of(kind, records, IDS), expected)
    pd.testing.assert_frame_equal(features_of(kind, changed, IDS), expected)


def test_other_businesses_and_the_order_of_rows_do_not_matter(
    kind: type[Party], records_of, features_of
) -> None:
    records = records_of(kind, IDS)
    shuffled = {name: table.sample(frac=1, random_state=1) for name, table in records.items()}
    alone = {name: table[table["business_id"] == "b"] for name, table in records.items()}

    expected = features_of(kind, records, [*IDS, "stranger"])

    assert expected.loc["stranger"].isna().all()
    pd.testing.assert_frame_equal(features_of(kind, shuffled, [*IDS, "stranger"]), expected)
    pd.testing.assert_frame_equal(features_of(kind, alone, ["b"]), expected.loc[["b"]], check_dtype=False)


@pytest.mark.parametrize("order", ["business_id", "month"])
def test_features_that_are_computed_in_pieces_are_those_of_the_whole(
    kind: type[Party], order: str, as_of, records_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"b{number:02d}" for number in range(23)]
    for name, table in records_of(kind, ids[1:]).items():
        shuffled = table.sample(frac=1, random_state=1)
        ordered = shuffled.sort_values(order) if order in table else shuffled
        ordered.to_parquet(tmp_path / f"{name}.parquet", row_group_size=100, index=False)
    asked = as_of(ids[::-1]).index.to_numpy()
    declared = kind.default_declaration(tmp_path)

    def features(rows_at_once: int, month: str = "2023-03") -> pd.DataFrame:
        monkeypatch.setattr("clients.parties.base.PIECE", rows_at_once)
        party = kind(tmp_path, declared)
        assert bool(party.records.stored) == (rows_at_once < 600)
        assert party.ids().tolist() == ids[1:]
        return party.matrix(asked, np.full(len(asked), month, "datetime64[M]"))

    for month in ("2023-03", "NaT"):
        expected = features(10**6, month)
        for rows_at_once in (29, 333):
            pd.testing.assert_frame_equal(features(rows_at_once, month), expected, check_exact=True)


def test_one_month_of_records_is_enough_and_nothing_becomes_infinite(
    kind: type[Party], records_of, features_of
) -> None:
    records = records_of(kind, IDS)
    short = {n: t[t["month"] == OBSERVED] if "month" in t else t for n, t in records.items()}
    zero = {n: table.assign(**dict.fromkeys(numbers_in(table), 0.0)) for n, table in short.items()}

    for case in (short, zero):
        numbers = features_of(kind, case, IDS).select_dtypes("number").to_numpy(dtype=float)
        assert not np.isinf(numbers).any()
        assert (~np.isnan(numbers)).any(axis=1).all()


def test_every_column_has_a_reason_in_both_languages(kind: type[Party]) -> None:
    for column in kind.columns:
        assert re.fullmatch(r"[A-Z][a-z]*( [a-z]+){4,}", column.reason), column.reason
        assert re.fullmatch(r"[\u4e00-\u9fff]{6,}", column.reason_zh), column.reason_zh
    texts = [text for column in kind.columns for text in (column.reason, column.reason_zh)]
    assert len(set(texts)) == len(texts)
