"""The bank names bins of real runs: rightly where it is certain, and the better the more it uses."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from experiments.attacks.boosting.bins import FOUND, by_knowledge, reconstruct
from experiments.attacks.boosting.opened import Knowledge, knowledge, true_bins
from experiments.attacks.boosting.recording import Recording


@pytest.mark.slow
def test_a_run_without_merging_gives_bins_away(recorded: Callable[..., Recording]) -> None:
    recording = recorded(trees=16, patience=0, min_bin_count=1)

    found = reconstruct(recording, "tax", np.random.default_rng(1))

    assert list(found.index) == ["a", "b", "c", "kind"]
    assert list(found.columns) == list(FOUND)
    means = found.mean()
    assert means["largest"] < 0.3
    assert means["own"] < 0.4, "the columns are independent, so the bank's own tell nothing"
    assert means["largest"] + 0.1 < means["splits"] <= means["both"]
    assert means["both"] > 0.9
    assert means["sums"] > 0.6
    assert means["scored"] > means["splits"] + 0.1, "of test rows every split tells, whatever their node"


@pytest.mark.slow
def test_merging_hides_bins_in_part(recorded: Callable[..., Recording]) -> None:
    right: dict[int, dict[str, float]] = {}
    for minimum in (1, 10):
        recording = recorded(trees=16, patience=0, min_bin_count=minimum)
        known = knowledge(recording, "tax")
        found, truth = by_knowledge(known, 1), true_bins(recording, "tax", known.rows)[:, 1]
        right[minimum] = {way: float((bins == truth).mean()) for way, bins in found.items()}

    assert right[1]["sure"] > 0.9
    assert right[10]["sure"] < 0.3
    assert right[10]["largest"] + 0.1 < right[10]["both"] < right[1]["both"] - 0.2


@pytest.mark.parametrize("minimum", [1, 10])
def test_what_is_certain_is_right(recorded: Callable[..., Recording], minimum: int) -> None:
    recording = recorded(trees=16, patience=0, min_bin_count=minimum)
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
    emptied = [replace(level, sums=level.sums * _not_first(level.sums)) for level in known.measured]

    found = by_knowledge(Knowledge(known.rows, emptied, [allowed]), 0)

    assert (found["both"] == 0).all()


def _not_first(sums: np.ndarray) -> np.ndarray:
    return (np.arange(sums.shape[2]) > 0)[:, None]
