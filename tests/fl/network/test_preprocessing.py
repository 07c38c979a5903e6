import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from fl.binning import Counts
from fl.network.preprocessing import Encoder, NumericEncoder
from fl.records import decode, encode
from fl.tables import Table

values_of = arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32))


def table(numeric: np.ndarray, codes: np.ndarray | None = None, known: np.ndarray | None = None) -> Table:
    rows = len(numeric)
    codes = np.empty((rows, 0), np.int32) if codes is None else codes.astype(np.int32)
    known = np.ones(rows, bool) if known is None else known
    levels = tuple(tuple("abcdef") for _ in codes.T)
    names = tuple(f"c{j}" for j in range(codes.shape[1]))
    return Table(numeric, tuple(f"x{j}" for j in range(numeric.shape[1])), codes, names, levels, known)


def test_the_first_input_is_the_standardised_normal_score() -> None:
    column = np.random.default_rng(0).lognormal(sigma=3, size=200).round(1)

    found = NumericEncoder.fit(column, bins=4).transform(column)[:, 0]

    scores = stats.norm.ppf(stats.rankdata(column) / (len(column) + 1))
    np.testing.assert_allclose(found, (scores - scores.mean()) / scores.std(), atol=1e-12)


def test_scores_of_a_long_column_are_near_those_of_every_rank() -> None:
    column = np.random.default_rng(0).lognormal(size=20_000)

    found = NumericEncoder.fit(column, bins=4).transform(column)[:, 0]

    scores = stats.norm.ppf(stats.rankdata(column) / (len(column) + 1))
    central = np.abs(scores) < 2
    np.testing.assert_allclose(found[central], scores[central], atol=0.02)


def test_pieces_say_how_far_a_value_reaches_through_each_bin() -> None:
    column = np.arange(9.0)  # quartiles 0, 2, 4, 6, 8

    encoder = NumericEncoder.fit(column, bins=4)
    found = encoder.transform(np.array([3.0, -50.0, 50.0]))[:, 1:]

    raw = np.clip((column[:, None] - [0, 2, 4, 6]) / 2, 0, 1)
    expected = (np.array([[1, 0.5, 0, 0], [0] * 4, [1] * 4]) - raw.mean(axis=0)) / raw.std(axis=0)
    np.testing.assert_allclose(found, expected * 0.5 / np.sqrt(4))


@given(column=values_of, bins=st.integers(1, 10))
def test_inputs_are_finite_and_rise_with_the_value(column: np.ndarray, bins: int) -> None:
    encoder = NumericEncoder.fit(column, bins)

    inputs = encoder.transform(np.sort(np.concatenate([column, [-1e9, 1e9]])))

    assert inputs.shape == (len(column) + 2, encoder.width)
    assert np.isfinite(inputs).all()
    assert (np.diff(inputs, axis=0) >= -1e-9).all()


@given(column=values_of)
def test_training_inputs_have_mean_zero(column: np.ndarray) -> None:
    inputs = NumericEncoder.fit(column, 5).transform(column)
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-9)


def test_a_missing_value_is_the_mean_with_a_flag() -> None:
    column = np.array([1.0, 2.0, 3.0, np.nan])

    inputs = NumericEncoder.fit(column, 2).transform(column)

    np.testing.assert_array_equal(inputs[3], [0, 0, 0, 1])
    np.testing.assert_array_equal(inputs[:3, -1], 0)


def test_where_training_rows_miss_nothing_there_is_no_flag() -> None:
    encoder = NumericEncoder.fit(np.array([1.0, 2.0, 3.0]), 2)
    np.testing.assert_array_equal(encoder.transform(np.array([np.nan])), np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("column", "width"),
    [([5.0, 5.0, 5.0], 0), ([np.nan, 5.0, 5.0], 1), ([np.nan, np.nan], 1), ([], 0)],
    ids=["constant", "constant or missing", "all missing", "no rows"],
)
def test_a_column_that_tells_nothing_has_at_most_a_flag(column: list[float], width: int) -> None:
    encoder = NumericEncoder.fit(np.array(column), 4)

    assert encoder.width == width
    assert encoder.transform(np.array([1.0, np.nan])).shape == (2, width)


def test_levels_are_one_hot_and_unseen_ones_are_nothing() -> None:
    codes = np.array([[0], [2], [2], [-1], [5]])
    fitted = Encoder.fit(table(np.empty((5, 0)), codes), np.arange(4), bins=4)

    inputs = fitted.transform(table(np.empty((5, 0)), codes), np.arange(5))

    np.testing.assert_array_equal(inputs, [[1, 0], [0, 1], [0, 1], [0, 0], [0, 0]])
    assert inputs.dtype == np.float32


def test_only_known_training_rows_count() -> None:
    rng = np.random.default_rng(0)
    numbers, codes = rng.normal(size=(30, 2)), rng.integers(0, 3, (30, 1))
    known = np.arange(30) % 5 != 0
    training = np.arange(20)
    fitted = Encoder.fit(table(numbers, codes, known), training, bins=3)

    others = ~known | (np.arange(30) >= 20)
    numbers[others], codes[others] = rng.normal(100, 9, (others.sum(), 2)), 4
    again = Encoder.fit(table(numbers, codes, known), training, bins=3)

    assert encode(again) == encode(fitted)


@given(
    rows=st.integers(0, 8), numeric=st.integers(0, 12), categorical=st.integers(0, 3), seed=st.integers(0, 9)
)
def test_bytes_hold_the_whole_encoder(rows: int, numeric: int, categorical: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = np.where(rng.random((rows, numeric)) < 0.3, np.nan, rng.normal(size=(rows, numeric)))
    data = table(numbers, rng.integers(-1, 4, (rows, categorical)))
    fitted = Encoder.fit(data, np.arange(rows), bins=3)

    again = decode(Encoder, encode(fitted))

    assert again.width == fitted.width
    everything = np.arange(rows)
    np.testing.assert_array_equal(again.transform(data, everything), fitted.transform(data, everything))


@pytest.mark.parametrize("rows", [0, 1, 7, 20])
def test_inputs_made_in_blocks_are_the_same(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    whole = table(rng.normal(size=(20, 3)), rng.integers(0, 3, (20, 1)))
    encoder = Encoder.fit(whole, np.arange(20), bins=4)
    chosen = rng.permutation(20)[:rows]
    expected = encoder.transform(whole, chosen)
    monkeypatch.setattr("fl.network.preprocessing._BLOCK", 7)
    np.testing.assert_array_equal(encoder.transform(whole, chosen), expected)


def test_rows_come_in_the_order_asked() -> None:
    data = table(np.random.default_rng(0).normal(size=(6, 2)))
    fitted = Encoder.fit(data, np.arange(6), bins=2)
    whole = fitted.transform(data, np.arange(6))
    np.testing.assert_array_equal(fitted.transform(data, np.array([4, 1, 4])), whole[[4, 1, 4]])


def test_counts_of_rows_do_instead_of_the_rows() -> None:
    rng = np.random.default_rng(3)
    # Quantiles fall on values, so that both ways agree on the edges; one value in seven is missing.
    numeric = np.stack([rng.permutation(np.arange(161.0) ** 2), np.repeat(rng.normal(size=23), 7)], 1)
    numeric[::7, 1] = np.nan
    codes = rng.integers(-1, 3, (161, 1))
    whole = table(numeric, codes)
    by_rows, by_counts = Encoder.fit(whole, np.arange(161), 4), Encoder.of(Counts.of(whole, False), 4)
    np.testing.assert_array_equal(by_counts.columns, by_rows.columns)
    for column in (0, 1):
        ours, theirs = by_counts.numeric[column], by_rows.numeric[column]
        for name in ("knots", "scores"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    first = by_counts.numeric[0].transform(numeric[:, 0])
    np.testing.assert_allclose(first, by_rows.numeric[0].transform(numeric[:, 0]), atol=1e-9)
    inputs = by_counts.transform(whole, np.arange(161))
    np.testing.assert_allclose(by_counts.mean, inputs.mean(axis=0), atol=1e-6)


def test_counts_of_no_row_make_no_input() -> None:
    encoder = Encoder.of(Counts.of(table(np.empty((0, 1))), False), 4)
    assert encoder.transform(table(np.array([[3.0], [np.nan]])), np.arange(2)).shape == (2, 0)
