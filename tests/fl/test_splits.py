import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fl.errors import ProtocolError
from fl.splits import TEST, TRAIN, VALIDATION, split_by_label, split_by_vintage, split_given_test

shares = st.floats(0.05, 0.45)


def months_of(counts: list[int]) -> np.ndarray:
    """One vintage per count, in an order of rows that says nothing."""
    months = np.repeat(np.arange(len(counts)) + np.datetime64("2023-01", "M"), counts)
    return np.random.default_rng(0).permutation(months)


def test_the_last_vintages_test_and_those_before_validate() -> None:
    months = months_of([10] * 10)

    roles = split_by_vintage(months, test_share=0.2, validation_share=0.1)

    number = (months - np.datetime64("2023-01", "M")).astype(int)
    np.testing.assert_array_equal(roles == TEST, number >= 8)
    np.testing.assert_array_equal(roles == VALIDATION, number == 7)
    np.testing.assert_array_equal(roles == TRAIN, number < 7)


@given(counts=st.lists(st.integers(1, 30), min_size=3, max_size=12), test=shares, validation=shares)
def test_vintages_are_never_divided_nor_out_of_order(
    counts: list[int], test: float, validation: float
) -> None:
    months = months_of(counts)

    roles = split_by_vintage(months, test, validation)

    assert months[roles == TRAIN].max() < months[roles == VALIDATION].min()
    assert months[roles == VALIDATION].max() < months[roles == TEST].min()


@given(counts=st.lists(st.integers(1, 30), min_size=3, max_size=12), test=shares)
def test_no_other_boundary_comes_nearer_to_the_wanted_test_share(counts: list[int], test: float) -> None:
    roles = split_by_vintage(months_of(counts), test, 0.1)

    possible = [sum(counts[first:]) / sum(counts) for first in range(2, len(counts))]
    assert abs((roles == TEST).mean() - test) == pytest.approx(min(abs(share - test) for share in possible))


def test_a_split_by_vintage_needs_three_of_them() -> None:
    with pytest.raises(ProtocolError, match="at least three observation months; the data have 2"):
        split_by_vintage(months_of([5, 5]), 0.2, 0.2)


labels_of = st.lists(st.integers(0, 1), min_size=2, max_size=200).map(lambda x: np.array(x, np.int8))


@given(labels=labels_of, test=shares, validation=shares, seed=st.integers(0, 9))
def test_a_split_by_label_has_the_shares_in_each_class(
    labels: np.ndarray, test: float, validation: float, seed: int
) -> None:
    counts = [(labels == value).sum() for value in (0, 1)]
    assume(0 < sum(round(test * count) for count in counts) < len(labels))

    roles = split_by_label(labels, test, validation, np.random.default_rng(seed))

    assert set(roles) <= {TRAIN, VALIDATION, TEST}
    for value, count in enumerate(counts):
        of_class = roles[labels == value]
        tested = round(test * count)
        assert (of_class == TEST).sum() == tested
        assert (of_class == VALIDATION).sum() == round(validation * (count - tested))


def test_the_seed_alone_decides_a_split_by_label() -> None:
    labels = np.tile(np.array([0, 0, 0, 1], np.int8), 100)

    first, again, other = (
        split_by_label(labels, 0.25, 0.15, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@given(labels=labels_of, data=st.data())
def test_a_given_test_set_is_kept_to_the_row(labels: np.ndarray, data: st.DataObject) -> None:
    test = np.array(data.draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels))))
    assume(test.any() and not test.all())

    roles = split_given_test(labels, test, 0.2, np.random.default_rng(0))

    np.testing.assert_array_equal(roles == TEST, test)


@pytest.mark.parametrize("test", [np.zeros(4, bool), np.ones(4, bool)], ids=["none", "all"])
def test_a_test_set_of_no_row_or_of_all_is_refused(test: np.ndarray) -> None:
    with pytest.raises(ProtocolError, match="some of the aligned rows, and not all"):
        split_given_test(np.array([0, 1, 0, 1], np.int8), test, 0.2, np.random.default_rng(0))
