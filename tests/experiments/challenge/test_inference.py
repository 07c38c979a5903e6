"""What is said of all applicants when the outcomes of the accepted alone are known."""

import numpy as np
import pytest
from scipy.special import expit

from experiments.challenge import Inference
from experiments.challenge.inference import infer
from fl.errors import ConfigError


@pytest.fixture
def everybody():
    """Log odds of 40,000 applicants, and their outcomes, whose log odds are 0.5 + 0.8 times these."""
    rng = np.random.default_rng(1)
    log_odds = rng.normal(-2, 1, 40_000)
    return log_odds, (rng.random(40_000) < expit(0.5 + 0.8 * log_odds)).astype(float), rng


def test_recalibration_finds_intercept_and_slope_and_changes_no_order(everybody) -> None:
    log_odds, outcomes, _ = everybody
    fitted = infer(outcomes, log_odds, 0 * log_odds, Inference.none).recalibrate(log_odds)
    assert fitted.slope == pytest.approx(0.8, abs=0.05)
    assert fitted.intercept == pytest.approx(0.5, abs=0.1)
    # Logistic regression makes the mean PD the bad rate.
    assert fitted.apply(log_odds).mean() == pytest.approx(outcomes.mean(), abs=1e-6)


@pytest.mark.parametrize("inference", [Inference.parcelling, Inference.augmentation])
def test_inference_comes_nearer_to_all_applicants_than_the_accepted(everybody, inference: Inference) -> None:
    log_odds, outcomes, rng = everybody
    accepted = rng.random(len(log_odds)) < expit(-2 * (log_odds + 1.5))  # the riskier, the less often
    known = np.where(accepted, outcomes, np.nan)
    alone, inferred = (infer(known, log_odds, 0 * log_odds, one) for one in (Inference.none, inference))
    true = infer(outcomes, log_odds, 0 * log_odds, Inference.none)
    for estimate in ("bad_rate", "auc"):
        first, second, truth = (
            sample.bad_rate if estimate == "bad_rate" else sample.auc(log_odds)
            for sample in (alone, inferred, true)
        )
        assert first < truth
        assert abs(second - truth) < abs(first - truth) / 2
    assert inferred.weights.sum() == pytest.approx(len(log_odds))


def test_a_factor_makes_the_declined_riskier_up_to_certainty(everybody) -> None:
    log_odds, outcomes, rng = everybody
    known = np.where(rng.random(len(log_odds)) < 0.5, outcomes, np.nan)
    once, twice, always = (
        infer(known, log_odds, 0 * log_odds, Inference.parcelling, factor).bad_rate
        for factor in (1.0, 2.0, 1e9)
    )
    accepted = known[~np.isnan(known)]
    assert once == pytest.approx(outcomes.mean(), abs=0.01)
    assert twice > once
    assert always == pytest.approx((accepted.sum() + np.isnan(known).sum()) / len(known))


def test_what_cannot_be_inferred_is_said() -> None:
    log_odds, unknown = np.array([-2.0, -1.0, 0.0, 1.0]), np.full(4, np.nan)
    with pytest.raises(ConfigError, match="No outcome of these applicants is known"):
        infer(unknown, log_odds, log_odds, Inference.parcelling)
    with pytest.raises(ConfigError, match="needs outcomes of goods and of bads; those"):
        infer(np.zeros(4), log_odds, log_odds, Inference.none).recalibrate(log_odds)
    with pytest.raises(ConfigError, match="a recalibration cannot mend that"):
        infer(np.array([1.0, 1.0, 0.0, 0.0]), log_odds, log_odds, Inference.none).recalibrate(log_odds)
