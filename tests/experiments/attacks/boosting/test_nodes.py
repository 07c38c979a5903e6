"""Where receivers see rows go: what a party puts together from its messages is where the bank had them."""

from collections.abc import Callable

import numpy as np
import pytest

from experiments.attacks.boosting.nodes import (
    Level,
    leaves,
    levels_in_letters,
    levels_of_party,
    lightness,
)
from experiments.attacks.boosting.recording import Recording

EVERY = np.ones(10, bool)


def level(left: list[bool], lighter_left: bool, last: bool = True, nodes: list[int] | None = None) -> Level:
    of_rows = np.zeros(len(left), np.int16) if nodes is None else np.array(nodes, np.int16)
    seen = np.ones(int(of_rows.max()) + 1, bool)
    places = np.arange(len(seen))
    return Level(0, 0, places, of_rows, seen, np.array(left), np.full(len(seen), lighter_left), last)


@pytest.mark.parametrize("options", [{}, {"ahead": "level"}, {"ahead": "none"}, {"parallel": 2}], ids=str)
@pytest.mark.parametrize("passive", [("tax",), ("supply", "tax")])
def test_a_party_sees_rows_in_the_nodes_in_which_they_are(
    recorded: Callable[..., Recording], passive: tuple[str, ...], options: dict
) -> None:
    recording = recorded(passive, **options)
    of_party, of_letters = list(levels_of_party(recording, "tax")), list(levels_in_letters(recording))

    assert len(of_party) == len(of_letters) > 3
    for one, other in zip(of_party, of_letters, strict=True):
        np.testing.assert_array_equal(one.nodes, other.nodes)
        there = one.seen[one.nodes] & (one.nodes >= 0)
        np.testing.assert_array_equal(one.left[there], other.left[there])
        assert (one.seen <= other.seen).all()
        assert one.last or (one.seen == other.seen).all()


def test_nobody_sees_the_first_tree_of_a_bank_that_grows_it_alone(
    recorded: Callable[..., Recording],
) -> None:
    recording = recorded(first_tree_bank_only=True)

    first = next(levels_of_party(recording, "tax"))

    assert not first.seen.any()
    assert leaves([first], recording.training).shape[1] == 1


def test_leaves_are_told_apart_by_the_way_to_them() -> None:
    first = level([True] * 6 + [False] * 4, True, last=False)
    second = level([True] * 3 + [False] * 3 + [True] * 4, True, nodes=[0] * 6 + [1] * 4)

    found = leaves([first, second, level([True] * 5 + [False] * 5, True)], EVERY)

    # Three leaves of the first tree, since nobody goes right from its second node, and two of the second.
    assert found.shape == (10, 5)
    assert sorted(found.sum(axis=0)) == [3, 3, 4, 5, 5]


def test_a_lighter_child_of_more_rows_is_the_surer_one() -> None:
    left = [True] * 8 + [False] * 2

    np.testing.assert_allclose(lightness([level(left, True)], EVERY), [np.log(4)] * 8 + [-np.log(4)] * 2)
    np.testing.assert_array_equal(lightness([level(left, False)], EVERY), np.zeros(10))
