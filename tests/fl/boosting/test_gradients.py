import numpy as np
import pytest

from fl.boosting.gradients import (
    MOST_WEIGHT,
    base_score,
    goss_weights,
    gradients,
    ranges,
    reweighing,
    sampled_columns,
    sampled_rows,
)
from fl.config.boosting import BoostingConfig
from fl.errors import ConfigError
from fl.evaluation.measures import log_loss

GOSS = {"goss_top": 0.2, "goss_other": 0.1}


def test_gradients_are_those_of_the_log_loss() -> None:
    scores, labels = np.linspace(-4, 4, 9), np.array([0, 1, 0, 1, 0, 1, 0, 1, 0], np.int8)
    found = gradients(scores, labels, 20) / 2**20
    step = 1e-4

    def loss(at: np.ndarray) -> np.ndarray:
        return np.logaddexp(0, at) - labels * at

    first = (loss(scores + step) - loss(scores - step)) / (2 * step)
    second = (loss(scores + step) - 2 * loss(scores) + loss(scores - step)) / step**2
    np.testing.assert_allclose(found[:, 0], first, atol=1e-5)
    np.testing.assert_allclose(found[:, 1], second, atol=1e-5)
    assert log_loss(scores, labels) == pytest.approx(loss(scores).mean())


@pytest.mark.parametrize("bads", [0.001, 0.01])
def test_sums_of_rare_bads_are_right_though_each_row_is_a_fraction_of_a_unit(bads: float) -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random(100_000) < bads).astype(np.int8)
    scores = rng.normal(base_score(labels), 0.5, len(labels))
    exact = gradients(scores, labels, 24) / 2**24

    coarse = gradients(scores, labels, 8)

    assert np.abs(coarse / 2**8 - exact).max() < 1 / 2**8
    for rows in (rng.random(len(labels)) < share for share in (1, 0.1, 0.01)):
        off = coarse[rows].sum(axis=0) / 2**8 - exact[rows].sum(axis=0)
        # As if each row were rounded up or down by chance, at most by its deviation of half a unit.
        assert np.abs(off).max() < 4 * 0.5 / 2**8 * np.sqrt(rows.sum())


def test_no_rounded_gradient_leaves_the_range_that_is_encrypted() -> None:
    config = BoostingConfig(precision=4)
    scores, labels = np.repeat([-40.0, 0.0, 40.0], 2_000), np.tile([0, 1], 3_000).astype(np.int8)
    for share in (labels, np.zeros_like(labels)):
        low, high = np.array(ranges(config)).T
        found = gradients(scores, share, 4)
        assert ((low <= found) & (found <= high)).all()


def test_scores_start_at_the_bad_rate() -> None:
    labels = np.array([0, 0, 0, 1], np.int8)
    start = np.full(4, base_score(labels))
    assert gradients(start, labels, 12)[:, 0].sum() == 0


@pytest.mark.parametrize(
    "config",
    [BoostingConfig(**settings) for settings in ({}, GOSS, {"reweigh": "x"}, {**GOSS, "reweigh": "x"})],
)
def test_no_gradient_leaves_the_ranges(config: BoostingConfig) -> None:
    scores, labels = np.array([-99.0, 99.0, 0.0] * 10), np.array([1, 0, 1] * 10, np.int8)
    found = gradients(scores, labels, config.precision, np.full(30, MOST_WEIGHT) if config.reweigh else None)
    weights = goss_weights(np.abs(found[:, 0]), np.ones(30, bool), config, np.random.default_rng(0))
    if config.goss_top:
        found = np.rint(found * weights[:, None])
    (low, high), (zero, most) = ranges(config)
    assert low <= found[:, 0].min()
    assert found[:, 0].max() <= high
    assert zero <= found[:, 1].min()
    assert found[:, 1].max() <= most


def test_reweighed_groups_have_the_same_bad_rate_in_training() -> None:
    rng = np.random.default_rng(0)
    groups, training = rng.choice(["a", "b", "c"], 2_000, p=[0.6, 0.3, 0.1]), rng.random(2_000) < 0.7
    labels = (rng.random(2_000) < np.where(groups == "a", 0.1, 0.2)).astype(np.int8)

    weights = reweighing("g", {"g": groups}, labels, training)

    rates = [
        np.average(labels[rows], weights=weights[rows])
        for rows in ((groups == level) & training for level in "abc")
    ]
    np.testing.assert_allclose(rates, labels[training].mean())
    assert weights[training].sum() == pytest.approx(training.sum())
    changed = np.where(training, labels, 1 - labels).astype(np.int8)
    np.testing.assert_array_equal(
        reweighing("g", {"g": groups}, changed, training)[training], weights[training]
    )


def test_a_weight_has_a_bound_and_equal_groups_have_none_but_one() -> None:
    labels = np.array([0] * 99 + [1] + [0] * 50 + [1] * 50, np.int8)
    groups, everyone = np.repeat(["a", "b"], 100), np.ones(200, bool)
    assert reweighing("g", {"g": groups}, labels, everyone).max() == MOST_WEIGHT
    same = reweighing("g", {"g": np.tile(["a", "b"], 100)}, np.repeat([0, 1], 100).astype(np.int8), everyone)
    np.testing.assert_array_equal(same, np.ones(200))
    scores = np.linspace(-3, 3, 200)
    np.testing.assert_array_equal(gradients(scores, labels, 10, same), gradients(scores, labels, 10))


def test_only_a_segment_can_be_reweighed() -> None:
    labels, training = np.array([0, 1], np.int8), np.ones(2, bool)
    assert reweighing("", {}, labels, training) is None
    with pytest.raises(ConfigError, match=r"must be one of the bank's segments \(area, size\), not 'gender'"):
        reweighing("gender", {"area": labels, "size": labels}, labels, training)


def test_samples_are_the_same_for_all_who_know_the_seed() -> None:
    training = np.arange(100) < 80
    chosen = sampled_rows(training, 1, range(3, 5), 0.25)
    assert chosen.sum(axis=1).tolist() == [20, 20]
    assert not chosen[:, 80:].any()
    np.testing.assert_array_equal(chosen[1:], sampled_rows(training, 1, [4], 0.25))
    assert (chosen[0] != chosen[1]).any()
    assert sampled_rows(training, 1, [3], 1.0).sum() == 80
    assert sampled_columns(10, "tax", 1, range(2), 0.3).sum(axis=1).tolist() == [3, 3]
    assert sampled_columns(10, "tax", 1, [0], 0.01).sum() == 1
    assert (sampled_columns(10, "tax", 1, [0], 0.3) != sampled_columns(10, "bank", 1, [0], 0.3)).any()


def test_goss_keeps_the_largest_and_weighs_up_the_others() -> None:
    config = BoostingConfig(goss_top=0.2, goss_other=0.1)
    magnitudes, rows = np.arange(200), np.arange(200) >= 100
    weights = goss_weights(magnitudes, rows, config, np.random.default_rng(0))
    assert (weights[180:] == 1).all()
    assert not weights[:100].any()
    assert sorted(set(weights[100:180])) == [0, 8]
    assert (weights[100:180] == 8).sum() == 10
    assert weights.sum() == pytest.approx(100)
