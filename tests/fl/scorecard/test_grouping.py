import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fl.binning import UNKNOWN, Shape
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError, ProtocolError
from fl.metrics import stability_index
from fl.scorecard.grouping import (
    DROPPED,
    Grouping,
    chance,
    check_columns,
    group,
    information_value,
    merge,
    weight_of_evidence,
)


def shape(*bins: int, apart: int = 0, ordered: bool = True, sign: int = 0) -> Shape:
    count = len(bins)
    return Shape(
        np.array(bins, np.int64),
        np.full(count, apart),
        np.full(count, ordered),
        np.full(count, sign, np.int8),
    )


def merged(goods: list[int], bads: list[int], **options: object) -> list[int]:
    settings = {"ordered": True, "apart": 0, "sign": 0, "minimum": 10, "protected": True} | options
    return merge(np.array(goods), np.array(bads), **settings).tolist()


def test_a_small_bin_joins_the_neighbour_of_nearer_bad_rate() -> None:
    assert merged([90, 95, 50], [10, 5, 50]) == [0, 0, 1]
    assert merged([50, 95, 90], [50, 5, 10]) == [0, 1, 1]


def test_an_ordered_bin_never_joins_one_beyond_its_neighbours() -> None:
    # The nearest rate of all is that of the last bin, and it is not adjacent.
    assert merged([95, 50, 95], [5, 50, 25]) == [0, 0, 1]


def test_levels_and_missing_values_join_the_nearest_of_all() -> None:
    assert merged([95, 50, 190], [5, 50, 10], ordered=False) == [0, 1, 0]
    assert merged([95, 50, 19], [15, 50, 1], apart=1) == [0, 1, 0]


def test_missing_values_that_are_enough_stay_alone() -> None:
    assert merged([50, 60, 70], [20, 20, 20], apart=1) == [0, 1, 2]


def test_a_group_of_rows_enough_needs_no_bads_unless_it_is_protected() -> None:
    goods, bads = [40, 60, 15], [0, 20, 0]
    assert merged(goods, bads, apart=1) == [0, 0, 0]
    assert merged(goods, bads, apart=1, protected=False) == [0, 1, 2]
    # Too few rows are too few for the bank, too.
    assert merged(goods, bads, apart=1, protected=False, minimum=16) == [0, 1, 0]


def test_bins_apart_have_no_direction() -> None:
    goods, bads = [80, 60, 40, 90], [20, 40, 60, 10]
    assert merged(goods, bads, sign=1, apart=1) == [0, 1, 2, 3]
    assert merged(goods, bads, sign=1, apart=2) == [0, 1, 2, 3]
    assert merged(goods, bads, sign=1) == [0, 1, 1, 1]


def test_bins_against_the_sign_are_pooled() -> None:
    goods, bads = [80, 60, 70, 40], [20, 40, 30, 60]
    assert merged(goods, bads, sign=1) == [0, 1, 1, 2]
    assert merged(goods, bads, sign=-1) == [0, 0, 0, 0]
    assert merged(goods, bads) == [0, 1, 2, 3]


def test_too_few_bads_in_all_leave_one_group() -> None:
    assert merged([50, 50, 50], [1, 0, 2]) == [0, 0, 0]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=8),
    st.sampled_from([-1, 0, 1]),
    st.integers(0, 3),
    st.integers(1, 30),
    st.booleans(),
)
def test_groups_are_large_enough_and_keep_to_the_sign(
    bins: list[tuple[int, int]], sign: int, apart: int, minimum: int, protected: bool
) -> None:
    goods, bads = (np.array(column) for column in zip(*bins, strict=True))
    apart = min(apart, len(bins) - 1)
    groups = merge(goods, bads, True, apart, sign, minimum, protected)
    assert np.unique(groups).tolist() == list(range(groups.max() + 1))
    good, bad = np.bincount(groups, goods), np.bincount(groups, bads)
    if len(good) > 1:
        assert (min(good.min(), bad.min()) if protected else (good + bad).min()) >= minimum
    values = groups[: len(groups) - apart]
    assert (np.diff(values) >= 0).all()
    rates = (bad / np.maximum(1, good + bad))[: values.max() + 1]
    assert (sign * np.diff(rates) >= 0).all()


def test_pooling_is_isotonic_regression() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(2)
    rows, bads = rng.integers(50, 200, 12), rng.integers(10, 40, 12)
    groups = merge(rows - bads, bads, True, 0, 1, 1, True)
    rates = (np.bincount(groups, bads) / np.bincount(groups, rows))[groups]
    expected = IsotonicRegression().fit_transform(np.arange(12), bads / rows, sample_weight=rows)
    np.testing.assert_allclose(rates, expected)


def test_information_value_of_a_known_example() -> None:
    # Shares of goods 0.8 and 0.2, of bads 0.4 and 0.6: 0.4 · ln 2 + 0.4 · ln 3.
    goods, bads = np.array([80, 20]), np.array([4, 6])
    np.testing.assert_allclose(weight_of_evidence(goods, bads), [-np.log(2), np.log(3)])
    assert information_value(goods, bads) == pytest.approx(0.4 * np.log(6))
    assert information_value(np.array([80]), np.array([4])) == 0


def test_a_group_without_bads_has_the_evidence_of_half_a_row_more() -> None:
    goods, bads = np.array([40, 60]), np.array([0, 10])
    expected = np.log([0.5 / 11 / (40.5 / 101), 10.5 / 11 / (60.5 / 101)])
    np.testing.assert_allclose(weight_of_evidence(goods, bads), expected)
    value = (np.array([0.5, 10.5]) / 11 - np.array([40.5, 60.5]) / 101) @ expected
    assert information_value(goods, bads) == pytest.approx(value)
    # Where there are no bads at all there is nothing to tell apart.
    assert chance(goods, np.zeros(2, int)) == 1


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            ScorecardConfig(min_iv=5.0),
            "information value 5 of scorecard.min-iv, .* reach 0.717 at most; lower",
        ),
        (
            ScorecardConfig(max_p=1e-12),
            "scorecard.max-p is 1e-12, .* an information value of 0.717 at most; offer",
        ),
    ],
)
def test_a_scorecard_without_a_column_is_refused(config: ScorecardConfig, text: str) -> None:
    counts = np.array([80, 20]), np.array([40, 60])
    dropped = group(shape(2), *counts, config, protected=False)
    check_columns(dropped, [group(shape(2), *counts, ScorecardConfig()).grouping], config)
    with pytest.raises(ConfigError, match=text):
        check_columns(dropped, [dropped.grouping], config)


def test_information_value_is_that_of_toad() -> None:
    toad = pytest.importorskip("toad")
    rng = np.random.default_rng(0)
    column = rng.integers(0, 5, 3000)
    labels = (rng.random(3000) < 0.1 + 0.05 * column).astype(int)
    bads = np.bincount(column, labels).astype(np.int64)
    goods = np.bincount(column) - bads
    assert information_value(goods, bads) == pytest.approx(
        toad.stats.IV(column.astype(str), labels), rel=1e-6
    )


def test_weak_columns_and_constants_are_dropped() -> None:
    goods = np.array([80, 20, 50, 51, 100, 0])
    bads = np.array([40, 60, 50, 49, 99, 1])
    found = group(shape(2, 2, 2), goods, bads, ScorecardConfig(min_group=5, max_p=1.0, min_iv=0.02))
    assert found.grouping.groups.tolist() == [0, 1, DROPPED, DROPPED, DROPPED, DROPPED]
    assert found.grouping.columns.tolist() == [0]
    assert found.grouping.counts.tolist() == [2]
    assert found.goods.tolist() == [80, 20]
    assert found.information[2] == 0 < found.information[1] < 0.02 < found.information[0]


def test_the_p_value_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    goods, bads = rng.integers(20, 90, (2, 6))
    expected = scipy.stats.chi2_contingency(np.stack([goods, bads]), correction=False).pvalue
    assert chance(goods, bads) == pytest.approx(expected, rel=1e-9)
    assert chance(goods[:1], bads[:1]) == 1


def test_of_columns_that_say_nothing_few_stay_whatever_the_number_of_rows() -> None:
    rng = np.random.default_rng(1)
    for rows in (1_000, 30_000):
        codes, labels = rng.integers(0, 5, (400, rows)), (rng.random(rows) < 0.1).astype(int)
        bads = np.concatenate([np.bincount(column, labels, 5) for column in codes]).astype(np.int64)
        goods = np.concatenate([np.bincount(column, minlength=5) for column in codes]) - bads
        config = ScorecardConfig(min_group=5, max_p=0.05)
        kept = group(shape(*[5] * 400), goods, bads, config).grouping.columns
        assert 0.02 < len(kept) / 400 < 0.08


def test_groups_of_rows() -> None:
    grouping = Grouping(shape(3, 2, 2), np.array([0, 0, 1, -1, -1, 1, 0], np.int16))
    codes = np.array([[0, 1, 0], [2, 0, 1], [UNKNOWN] * 3], np.uint8)
    assert grouping.transform(codes).tolist() == [[0, 1], [1, 0], [UNKNOWN, UNKNOWN]]
    assert grouping.runs.tolist() == [2, 2]


def test_missing_values_are_no_part_of_a_run() -> None:
    alone = Grouping(shape(3, apart=1, sign=1), np.array([0, 1, 2], np.int16))
    joined = Grouping(shape(3, apart=1, sign=1), np.array([0, 1, 0], np.int16))
    category = Grouping(shape(3, ordered=False), np.array([1, 0, 1], np.int16))
    assert [g.check().runs.tolist() for g in (alone, joined, category)] == [[2], [2], [0]]


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        (np.array([0, 1], np.int16), "one for each of 3 bins"),
        (np.array([0, 1, 1], np.int64), "must be int16"),
        (np.array([0, 2, 2], np.int16), "without gaps"),
        (np.array([-1, 0, 0], np.int16), "without gaps"),
        (np.array([1, 0, 1], np.int16), "rise with the value"),
    ],
)
def test_groups_that_do_not_fit_are_refused(groups: np.ndarray, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        Grouping(shape(3), groups).check()


def test_stability_index_by_its_formula() -> None:
    then, now = np.array([100, 200, 300]), np.array([150, 200, 250])
    p, q = then / 600, now / 600
    assert stability_index(then, now) == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert stability_index(then, then) == 0
    assert np.isfinite(stability_index(then, np.array([600, 0, 0])))
