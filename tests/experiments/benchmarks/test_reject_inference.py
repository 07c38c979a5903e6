"""The benchmark of reject inference, on made-up log odds: what is known of its answers."""

import numpy as np
import pytest
from scipy.special import expit

from experiments.benchmarks.reject_inference import METHODS, RULES, Models, accept, estimates, summary


@pytest.fixture(scope="module")
def applicants():
    """Log odds of a weak and of a strong model, and outcomes."""
    rng = np.random.default_rng(1)
    true = rng.normal(-2.5, 1.3, 8_000)
    labels = (rng.random(8_000) < expit(true)).astype(np.int8)
    return true + rng.normal(0, 1.3, 8_000), true, labels


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_accepts_the_share_and_insight_tells_bads_from_goods(applicants, rule: str) -> None:
    champion, _, labels = applicants
    approved = champion <= np.quantile(champion, 0.7)
    turned = approved != accept(rule, champion, labels, 0.7, np.random.default_rng(1))
    assert turned.mean() == pytest.approx(0.0 if rule == "cut-off" else 0.1, abs=0.02)
    if rule != "cut-off":
        bads, goods = (turned[approved & (labels == label)].mean() for label in (1, 0))
        assert bads / goods == pytest.approx(3.0 if rule == "insight" else 1.0, rel=0.3)


def test_all_outcomes_are_the_truth_and_the_accepted_flatter_the_challenger(applicants) -> None:
    means = estimates(Models(*applicants), approval=0.7, draws=1)
    assert means.index.get_level_values("outcomes").unique().tolist() == list(METHODS)
    whole = means.xs("all outcomes", level="outcomes")
    assert (whole[["bad rate", "AUC", "gain of AUC"]] == 0).all(axis=None)
    alone = means.loc["cut-off", "accepted only"]
    assert alone["bad rate"] < 0
    assert alone["AUC"] < 0
    assert alone["gain of AUC"] > 0
    assert summary([means, means]).count("\n") == 1 + len(RULES) * len(METHODS)
