from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from experiments.lending import intervals
from experiments.lending.cases import Case
from experiments.lending.intervals import summarise
from experiments.lending.measures import OWN, RANKING, choose_cutoffs, measure
from experiments.lending.policy import Policy

GINI = (RANKING, "gini")


def test_over_economies_it_is_student_s_interval_of_their_means(
    make_case: Callable[..., Case], policy: Policy
) -> None:
    cases = [make_case(economy, seed) for economy in (1, 2, 3) for seed in (1, 2)]
    found = summarise(cases, policy).loc[GINI]

    rows = [measure(case, choose_cutoffs(case, policy)).loc[GINI] for case in cases]
    changes = np.array([row["change"] for row in rows]).reshape(3, 2).mean(axis=1)
    expected = stats.t.interval(0.95, 2, changes.mean(), stats.sem(changes))
    assert found["change"] == pytest.approx(changes.mean())
    np.testing.assert_allclose(found[["low", "high"]], expected)
    assert found["reference"] == pytest.approx(np.mean([row["reference"] for row in rows]))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 30)


@pytest.mark.usefixtures("few")
def test_of_one_economy_it_is_a_bootstrap_around_the_change(
    make_case: Callable[..., Case], policy: Policy
) -> None:
    found = summarise([make_case(rows=800)], policy)
    again = summarise([make_case(rows=800)], policy)
    assert found.equals(again)
    row = found.loc[GINI]
    assert 0 < row["low"] < row["change"] < row["high"]
    assert found.loc[(OWN, "approval_rate"), "low"] < found.loc[(OWN, "approval_rate"), "high"]


@pytest.mark.usefixtures("few")
def test_seeds_of_one_economy_are_no_more_data(make_case: Callable[..., Case], policy: Policy) -> None:
    one = make_case(rows=800)
    alone, twice = summarise([one], policy), summarise([one, replace(one, seed=2)], policy)
    np.testing.assert_allclose(alone, twice)


@pytest.mark.usefixtures("few")
def test_a_challenger_without_an_advantage_shows_none(make_case: Callable[..., Case], policy: Policy) -> None:
    row = summarise([make_case(rows=800, better=0.0)], policy).loc[GINI]
    assert row["low"] <= 0 <= row["high"]


def test_every_resample_has_both_classes() -> None:
    labels = np.array([1, 0, 0, 0, 0, 0])
    for seed in range(50):
        rows = intervals.draw_rows(labels, np.random.default_rng(seed))
        assert 0 < labels[rows].sum() < len(rows)
