from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fl.binning import UNKNOWN, Binning, Shape
from fl.errors import ProtocolError
from fl.records import decode, encode
from fl.tables import Table


def table(numeric=None, codes=None, levels=(), known=None) -> Table:
    rows = len(numeric) if numeric is not None else len(codes)
    numeric = np.empty((rows, 0)) if numeric is None else np.array(numeric, float).reshape(rows, -1)
    codes = np.empty((rows, 0), np.int32) if codes is None else np.array(codes, np.int32).reshape(rows, -1)
    names = tuple(f"n{k}" for k in range(numeric.shape[1])), tuple(f"c{k}" for k in range(codes.shape[1]))
    known = np.ones(rows, bool) if known is None else np.array(known)
    return Table(numeric, names[0], codes, names[1], tuple(levels), known)


def fit(data: Table, bins: int = 32, minimum: int = 1, signs: dict | None = None) -> Binning:
    return Binning.fit(data, np.arange(len(data)), bins, minimum, signs or {})


columns = hnp.arrays(float, st.integers(1, 200), elements=st.one_of(st.floats(-5, 5), st.just(np.nan)))


@given(columns, st.integers(2, 255), st.integers(1, 30))
def test_bins_rise_with_the_value_and_hold_rows_enough(values: np.ndarray, bins: int, minimum: int) -> None:
    data = table(values)
    binning = fit(data, bins, minimum)
    codes = binning.transform(data)[:, 0]
    gaps, count = np.isnan(values), int(binning.bins[0])

    assert 1 <= count <= bins
    assert codes.max() < count
    if not gaps.all():
        order = np.argsort(values[~gaps])
        assert (np.diff(codes[~gaps][order].astype(int)) >= 0).all()
        for value in np.unique(values[~gaps]):
            assert len(set(codes[values == value])) == 1
    if count > 1:
        assert np.bincount(codes[~gaps], minlength=1)[: count - int(binning.missing[0])].min() >= minimum
    if binning.missing[0]:
        assert gaps.sum() >= minimum
        assert (codes[gaps] == count - 1).all()


def test_quantile_bins_share_the_rows() -> None:
    values = np.random.default_rng(0).normal(size=3200)
    counts = np.bincount(fit(table(values)).transform(table(values))[:, 0])
    assert len(counts) == 32
    assert counts.min() >= 95


def test_few_distinct_values_have_a_bin_each() -> None:
    values = np.repeat([0.0, 1.0, 5.0], [5, 90, 5])
    assert fit(table(values)).transform(table(values))[:, 0].tolist() == [0] * 5 + [1] * 90 + [2] * 5


def test_rare_levels_share_a_bin_and_strangers_go_where_most_are() -> None:
    codes = [0] * 50 + [1] * 30 + [2] * 6 + [3] * 6
    data = table(codes=codes, levels=[("a", "b", "c", "d", "never seen")])
    binning = fit(data, minimum=10)
    assert binning.transform(data)[:, 0].tolist() == [0] * 50 + [1] * 30 + [2] * 12
    # The level that no training row has counts as rare; a gap, where there were none, as most rows do.
    later = table(codes=[4, -1], levels=data.levels)
    assert binning.transform(later)[:, 0].tolist() == [2, 0]


def test_categories_beyond_the_room_share_the_last_bin() -> None:
    codes = np.repeat(np.arange(10), np.arange(10, 0, -1))
    found = fit(table(codes=codes, levels=[tuple("abcdefghij")]), bins=4)
    assert found.bins.tolist() == [4]
    assert found.levels[0].tolist() == [0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3]


def test_too_few_gaps_go_to_the_fullest_bin() -> None:
    values = [1.0] * 20 + [2.0] * 40 + [np.nan] * 3
    binning = fit(table(values), minimum=10)
    assert not binning.missing[0]
    assert binning.transform(table(values))[-3:, 0].tolist() == [1, 1, 1]


def test_who_is_unknown_is_in_no_bin_and_decides_none() -> None:
    values = [1.0, 2.0, 3.0, 900.0]
    data = table(values, known=[True, True, True, False])
    binning = fit(data)
    assert binning.cuts[0].tolist() == [1.0, 2.0]
    assert binning.transform(data)[:, 0].tolist() == [0, 1, 2, UNKNOWN]


def with_special(numbers: list[float], *codes: float) -> Table:
    """A table of one numeric column in which these are special values."""
    values = np.array(numbers)
    special = np.where(np.isin(values, codes), values, np.nan)
    return replace(table(np.where(np.isnan(special), values, np.nan)), special={"n0": special})


def test_special_values_have_bins_between_those_of_values_and_of_missing_ones() -> None:
    data = with_special([5.0] * 20 + [7.0] * 20 + [-999.0] * 10 + [99.0] * 10 + [np.nan] * 10, -999, 99, 4)
    binning = Binning.fit(data, np.arange(70), 10, 5, {}, special=True)
    assert binning.transform(data)[:, 0].tolist() == [0] * 20 + [1] * 20 + [2] * 10 + [3] * 10 + [4] * 10
    assert (binning.shape.bins.tolist(), binning.shape.apart.tolist()) == ([5], [3])
    again = decode(Binning, encode(binning))
    np.testing.assert_array_equal(again.transform(data, slice(30, 60)), binning.transform(data)[30:60])
    # Trees take them for missing.
    plain = Binning.fit(data, np.arange(70), 10, 5, {})
    assert plain.transform(data)[40:, 0].tolist() == [2] * 30


def test_a_rare_special_value_counts_as_missing() -> None:
    data = with_special([5.0] * 20 + [-999.0] * 3 + [np.nan] * 4 + [99.0] * 9, -999, 99)
    binning = Binning.fit(data, np.arange(36), 10, 5, {}, special=True)
    assert binning.transform(data)[20:, 0].tolist() == [2] * 7 + [1] * 9


def test_a_missing_value_without_a_bin_does_not_go_where_a_code_is() -> None:
    data = with_special([5.0] * 10 + [6.0] * 20 + [-999.0] * 30 + [np.nan] * 2, -999)
    binning = Binning.fit(data, np.arange(62), 10, 5, {}, special=True)
    assert binning.transform(data)[-2:, 0].tolist() == [1, 1]


def test_a_column_of_special_values_alone_leaves_room_for_others() -> None:
    data = with_special([-999.0] * 10 + [99.0] * 10, -999, 99)
    binning = Binning.fit(data, np.arange(20), 10, 5, {}, special=True)
    assert binning.transform(data)[:, 0].tolist() == [1] * 10 + [2] * 10
    assert binning.transform(with_special([3.0], -999))[:, 0].tolist() == [0]


def test_a_category_without_any_level_has_one_bin() -> None:
    data = table(codes=[-1] * 5, levels=[()])
    assert fit(data).shape.bins.tolist() == [1]
    assert fit(data).transform(data)[:, 0].tolist() == [0] * 5


@pytest.mark.parametrize("values", [[np.nan] * 5, [3.0] * 5])
def test_a_column_that_says_nothing_has_one_bin(values: list) -> None:
    assert fit(table(values)).shape.bins.tolist() == [1]


def test_bins_of_stacked_tables_are_the_same_by_the_codes_of_each() -> None:
    first = table(codes=[0, 1, 1, -1], levels=(("tea", "coal"),))
    second = table(codes=[0, 0, 0, 0, 1], levels=(("food", "coal"),))
    stacked = Table.stacked([first, second])
    binning = Binning.fit(stacked, np.arange(9), bins=5, minimum=1, signs={})
    parts = [binning.with_codes_of(one, stacked).transform(one) for one in (first, second)]
    np.testing.assert_array_equal(np.concatenate(parts), binning.transform(stacked))
    stranger = table(codes=[0], levels=(("silk",),))
    assert binning.with_codes_of(stranger, stacked).transform(stranger).tolist() == [[binning.fullest[0]]]


def test_a_binning_is_a_record() -> None:
    data = table([[1.0, np.nan], [2.0, 4.0], [3.0, 5.0]], [[0], [1], [-1]], [("x", "y")])
    binning = fit(data, signs={"n1": -1})
    again = decode(Binning, encode(binning))
    np.testing.assert_array_equal(again.transform(data), binning.transform(data))
    assert again.shape.signs.tolist() == [0, -1, 0]
    assert again.shape.ordered.tolist() == [True, True, False]


@pytest.mark.parametrize(
    "wrong",
    [
        {"bins": np.array([0, 3])},
        {"bins": np.array([256, 3])},
        {"bins": np.array([3])},
        {"bins": np.array([[3, 4]])},
        {"bins": np.array([3.0, 3.0])},
        {"apart": np.array([True, False])},
        {"apart": np.array([3, 0])},
        {"apart": np.array([0, -1])},
        {"ordered": np.array([True])},
        {"signs": np.array([0, 2], np.int8)},
        {"signs": np.array([0, -128], np.int8)},
        {"signs": np.array([0, 1])},
    ],
    ids=str,
)
def test_a_malformed_shape_is_refused(wrong: dict) -> None:
    arrays = {
        "bins": np.array([3, 4]),
        "apart": np.array([2, 0]),
        "ordered": np.array([True, False]),
        "signs": np.zeros(2, np.int8),
    }
    assert len(Shape(**arrays)) == 2
    with pytest.raises(ProtocolError):
        Shape(**arrays | wrong)


def test_a_shape_without_columns_is_one() -> None:
    none = Shape(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool), np.empty(0, np.int8))
    assert (len(none), none.width) == (0, 1)
