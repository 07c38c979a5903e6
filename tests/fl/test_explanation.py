"""Explanations: what calibration and means do to them, and the texts that a party may tell."""

import numpy as np
import pytest

from fl.calibration import Calibration
from fl.errors import ProtocolError
from fl.explanation import ALL, BANK, LONGEST, Explanation, Feature, Text, check_texts, weighted_mean

TAX = Feature("tax", 3)
RNG = np.random.default_rng(4)
TREES = Explanation(RNG.normal(size=5), {Feature(BANK, 0): RNG.normal(size=5), TAX: RNG.normal(size=5)})
NETWORK = Explanation(
    RNG.normal(size=5),
    {Feature(BANK, 0): RNG.normal(size=5), Feature("tax", ALL): RNG.normal(size=5)},
    {TAX: Text("late", "晚")},
)


def test_after_calibration_they_add_up_to_the_calibrated_log_odds() -> None:
    calibration = Calibration(slope=0.8, intercept=-0.3)
    explained = TREES.calibrated(calibration).log_odds
    np.testing.assert_allclose(explained, calibration.log_odds(TREES.log_odds), atol=1e-12)


def test_a_mean_of_models_is_explained_by_the_mean_of_what_columns_add() -> None:
    of_rows = np.array([1.0, 0.5, 0.25, 0.0, 1.0])
    for weights in ((0.25, 0.75), (of_rows, 1 - of_rows)):
        mean = weighted_mean([TREES, NETWORK], weights)
        expected = weights[0] * TREES.log_odds + weights[1] * NETWORK.log_odds
        np.testing.assert_allclose(mean.log_odds, expected, atol=1e-12)
        assert set(mean.contributions) == {Feature(BANK, 0), TAX, Feature("tax", ALL)}
        assert mean.texts == NETWORK.texts


def test_rows_that_another_model_answers_leave_the_others_as_they_are() -> None:
    rows = np.array([1, 4])
    some = Explanation(np.array([1.0, 2.0]), {TAX: np.array([0.5, -0.5])}).at(rows, 5)
    half = np.isin(np.arange(5), rows) / 2
    mean = weighted_mean([TREES, some], [1 - half, half])
    np.testing.assert_array_equal(mean.log_odds[[0, 2, 3]], TREES.log_odds[[0, 2, 3]])
    np.testing.assert_allclose(mean.log_odds[rows], (TREES.log_odds[rows] + [1.5, 1.5]) / 2)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (np.array(["a"]), "must be 2 texts"),
        (np.array([1, 2]), "must be 2 texts"),
        (np.array(["a", "b" * (LONGEST + 1)]), "of 1000 characters at most"),
        (np.array(["a", "b\x1b[2J"]), "must be printable"),
    ],
)
def test_texts_that_fit_in_no_table_are_refused(texts: np.ndarray, said: str) -> None:
    with pytest.raises(ProtocolError, match=f"reasons of tax {said}" if "2" in said else said):
        check_texts("reasons of tax", texts, 2)
