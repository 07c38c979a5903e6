"""What the bank is said to know is what the run really told it: no more, and none of it wrong."""

from collections.abc import Callable

import numpy as np
import pytest

from experiments.attacks.boosting.opened import knowledge, scored, true_bins
from experiments.attacks.boosting.recording import Recording
from fl.splits import TEST

SETTINGS = [
    {},
    {"ahead": "level"},
    {"ahead": "none"},
    {"first_tree_bank_only": True},
    {"row_share": 0.5, "column_share": 0.5},
    {"parallel": 2, "row_share": 0.5, "column_share": 0.5},
    {"goss_top": 0.2, "ahead": "level"},
    {"depth": 1},
    {"min_gain": 3.0},
]


@pytest.mark.parametrize(
    ("passive", "settings"), [(("tax",), {}), *((("supply", "tax"), found) for found in SETTINGS)], ids=str
)
def test_sums_are_those_of_the_rows_that_the_bank_knows_in_each_group(
    recorded: Callable[..., Recording], passive: tuple[str, ...], settings: dict
) -> None:
    recording = recorded(passive, **settings)
    known = knowledge(recording, "tax")
    bins = true_bins(recording, "tax", known.rows)

    trees = 3 - settings.get("first_tree_bank_only", False)
    assert sum((level.groups == 0).all() for level in known.measured) == trees
    assert len(known.rows) == (recording.roles[recording.joined.coverage["tax"]] == 0).sum()
    for level in known.measured:
        there = level.groups >= 0
        for column, sums in enumerate(np.moveaxis(level.sums, 1, 0)):
            homes = level.homes[level.groups, column, bins[:, column]]
            expected = np.zeros_like(sums)
            np.add.at(expected, (level.groups[there], homes[there]), level.weights[there])
            if sums.any() or "column_share" not in settings:
                np.testing.assert_array_equal(sums, expected)


def test_a_parent_says_more_than_its_children_where_their_bins_are_merged(
    recorded: Callable[..., Recording],
) -> None:
    apart, together = (
        knowledge(recorded(min_bin_count=minimum, depth=2), "tax").measured for minimum in (1, 10)
    )

    # Two levels of each of three trees.
    assert len(apart) == len(together) == 6
    for parent, level in zip(together[::2], together[1::2], strict=True):
        coarser = (level.homes != parent.homes[0]).any(axis=(0, 2))
        np.testing.assert_array_equal(parent.telling[0], coarser)
        assert level.telling.all()
    assert any(parent.telling.any() for parent in together[::2])
    assert [level.telling.any() for level in apart] == [False, True] * 3


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_outcomes_leave_the_true_bin(recorded: Callable[..., Recording], settings: dict) -> None:
    recording = recorded(("supply", "tax"), **settings)
    known = knowledge(recording, "tax")
    bins = true_bins(recording, "tax", known.rows)

    for column, allowed in enumerate(known.allowed):
        assert allowed[np.arange(len(bins)), bins[:, column]].all()


@pytest.mark.parametrize("settings", [{}, {"ahead": "none"}, {"trees": 12, "patience": 2}], ids=str)
def test_scoring_tells_of_test_rows_how_every_kept_split_sends_them(
    recorded: Callable[..., Recording], settings: dict
) -> None:
    recording = recorded(("supply", "tax"), **settings)
    rows, possible = scored(recording, "tax")
    bins = true_bins(recording, "tax", rows)

    assert (recording.roles[rows] == TEST).all()
    assert len(rows) == (recording.roles[recording.joined.coverage["tax"]] == TEST).sum()
    for column, allowed in enumerate(possible):
        assert allowed[np.arange(len(bins)), bins[:, column]].all()
    assert not all(allowed.all() for allowed in possible)


def test_scoring_by_a_forest_without_a_split_of_the_party_tells_nothing(
    recorded: Callable[..., Recording],
) -> None:
    rows, possible = scored(recorded(trees=1, first_tree_bank_only=True), "tax")

    assert len(rows)
    assert all(allowed.all() for allowed in possible)


def test_a_column_that_is_split_is_known_better(recorded: Callable[..., Recording]) -> None:
    recording = recorded()
    split = {int(column) for demand in recording.demands for column in demand.levels["tax"].splits.columns}
    narrowed = [
        column for column, allowed in enumerate(knowledge(recording, "tax").allowed) if not allowed.all()
    ]

    assert split
    assert narrowed == sorted(split)


def test_the_share_of_each_bin_is_exact_in_the_first_tree(recorded: Callable[..., Recording]) -> None:
    recording = recorded()
    known = knowledge(recording, "tax")
    bins = true_bins(recording, "tax", known.rows)

    for column in range(bins.shape[1]):
        sizes = known.sizes(column)
        np.testing.assert_allclose(sizes, np.bincount(bins[:, column], minlength=len(sizes)) / len(bins))
