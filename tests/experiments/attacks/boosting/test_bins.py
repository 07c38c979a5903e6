"""The bank names bins of real runs: rightly where it is certain, and the better the more it uses."""

from collections.abc import Callable

import numpy as np

from experiments.attacks.boosting.bins import FOUND, by_knowledge, reconstruct
from experiments.attacks.boosting.opened import Knowledge, knowledge, true_bins
from experiments.attacks.boosting.recording import Recording


def test_a_run_gives_bins_away(recorded: Callable[..., Recording]) -> None:
    recording = recorded(trees=12)

    found = reconstruct(recording, "tax", 8, np.random.default_rng(1))

    assert list(found.index) == ["a", "b", "c", "kind"]
    assert list(found.columns) == list(FOUND)
    means = found.mean()
    assert means["largest"] < 0.3
    assert means["own"] < 0.4, "the columns are independent, so the bank's own tell nothing"
    assert means["largest"] + 0.2 < means["splits"] <= means["both"]
    assert means["both"] > 0.9
    assert means["sums"] > 0.6


def test_what_is_certain_is_right(recorded: Callable[..., Recording]) -> None:
    recording = recorded(trees=12)
    known = knowledge(recording, "tax")
    bins = true_bins(recording, "tax", known.rows)

    for column in range(bins.shape[1]):
        found = by_knowledge(known, column)
        for way in ("matched", "sure"):
            certain = found[way] >= 0
            assert (found[way][certain] == bins[certain, column]).all()
        assert ((found["matched"] >= 0) <= (found["sure"] >= 0)).all()


def test_sums_that_contradict_outcomes_leave_what_outcomes_say(recorded: Callable[..., Recording]) -> None:
    known = knowledge(recorded(), "tax")
    allowed = np.zeros_like(known.allowed[0])
    allowed[:, 0] = True
    emptied = [
        type(tree)(tree.groups, tree.weights, tree.sums * _not_first(tree.sums)) for tree in known.measured
    ]

    found = by_knowledge(Knowledge(known.rows, emptied, [allowed]), 0)

    assert (found["both"] == 0).all()


def _not_first(sums: np.ndarray) -> np.ndarray:
    return (np.arange(sums.shape[2]) > 0)[:, None]
