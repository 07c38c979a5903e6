import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fl.errors import ProtocolError
from fl.records import decode, encode
from fl.tables import Table

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows, numeric, categorical = draw(st.tuples(*[st.integers(0, 5)] * 3))
    known = draw(arrays.arrays(bool, rows))
    return Table(
        draw(arrays.arrays(np.float64, (rows, numeric))),
        tuple(draw(st.lists(names, min_size=numeric, max_size=numeric))),
        draw(arrays.arrays(np.int32, (rows, categorical))),
        tuple(draw(st.lists(names, min_size=categorical, max_size=categorical))),
        tuple(tuple(draw(st.lists(names, max_size=4))) for _ in range(categorical)),
        known,
        {name: draw(arrays.arrays(np.float64, rows)) for name in draw(st.lists(names, max_size=2))},
    )


@given(table=tables())
def test_a_table_is_a_record(table: Table) -> None:
    again = decode(Table, encode(table))

    np.testing.assert_array_equal(again.numeric, table.numeric)
    np.testing.assert_array_equal(again.codes, table.codes)
    np.testing.assert_array_equal(again.known, table.known)
    assert again.numeric_names == table.numeric_names
    assert again.categorical_names == table.categorical_names
    assert again.levels == table.levels
    assert len(again) == len(table.known)
    assert list(again.special) == list(table.special)
    for name, values in table.special.items():
        np.testing.assert_array_equal(again.special[name], values)


@given(table=tables(), data=st.data())
def test_some_rows_of_a_table_are_taken_in_the_order_asked(table: Table, data: st.DataObject) -> None:
    places = st.integers(0, max(0, len(table) - 1))
    rows = np.array(data.draw(st.lists(places, max_size=6 if len(table) else 0)), int)
    taken = table.take(rows)
    np.testing.assert_array_equal(taken.numeric, table.numeric[rows])
    np.testing.assert_array_equal(taken.codes, table.codes[rows])
    np.testing.assert_array_equal(taken.known, table.known[rows])
    assert (taken.names, taken.levels) == (table.names, table.levels)


def _of_levels(texts: list[str | None]) -> Table:
    levels = tuple(sorted({text for text in texts if text is not None}))
    codes = np.array([[-1 if text is None else levels.index(text)] for text in texts], np.int32)
    return Table(np.empty((len(texts), 0)), (), codes, ("sector",), (levels,), np.ones(len(texts), bool))


def test_codes_follow_the_levels_of_another_table() -> None:
    trained = _of_levels(["food", "coal", "mining"])
    new = _of_levels(["tea", "mining", None, "food"]).in_levels_of(trained)
    assert new.levels == (("coal", "food", "mining", "tea"),)
    assert new.codes[:, 0].tolist() == [3, 2, -1, 1]


def test_tables_are_stacked_with_all_levels_in_an_order_that_none_of_them_decides() -> None:
    parts = [_of_levels(["tea", None]), _of_levels(["coal"])]
    for order in (parts, parts[::-1]):
        stacked = Table.stacked(order)
        assert stacked.levels == (("coal", "tea"),)
        assert len(stacked) == 3
    assert stacked.codes[:, 0].tolist() == [0, 1, -1]
    assert parts[0].codes[:, 0].tolist() == [0, -1]


def test_codes_follow_no_table_of_other_columns() -> None:
    other = Table(np.empty((1, 1)), ("x",), np.empty((1, 0), np.int32), (), (), np.ones(1, bool))
    with pytest.raises(ProtocolError, match="not those with which the model was trained"):
        other.in_levels_of(_of_levels(["coal"]))
