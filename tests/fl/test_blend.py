"""The mean of models' log odds, the rule by which fitted weights take its place, and a blend's members."""

import numpy as np
import pytest
from scipy.special import expit

from fl.blend import Blend, fit, table, with_members
from fl.errors import ProtocolError

ODDS = {"a": np.array([1.0, -2.0]), "b": np.array([3.0, 0.0]), "c": np.array([-1.0, 2.0])}


def sample(rows: int, noise: dict[str, float]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Members that see the same log odds through noise of their own, and the labels."""
    rng = np.random.default_rng(1)
    true = rng.normal(-1, 1.5, rows)
    members = {name: true + deviation * rng.normal(size=rows) for name, deviation in noise.items()}
    return members, (rng.random(rows) < expit(true)).astype(np.int8)


def test_a_blend_is_the_weighted_mean_of_its_members() -> None:
    np.testing.assert_array_equal(Blend({"a": 0.25, "b": 0.75}).log_odds(ODDS), [2.5, -0.5])


def test_a_single_model_is_a_blend_of_one() -> None:
    np.testing.assert_array_equal(Blend({"a": 1.0}).log_odds(ODDS), ODDS["a"])


def test_without_a_member_the_others_share_its_weight() -> None:
    blend = Blend({"a": 0.2, "b": 0.3, "c": 0.5}).without(["c"])
    assert blend == Blend({"a": pytest.approx(0.4), "b": pytest.approx(0.6)})


def test_members_that_are_alike_have_equal_weights() -> None:
    members, labels = sample(3000, {"a": 0.8, "b": 0.8, "c": 0.8})
    blend = fit(members, labels, seed=1)
    assert blend.weights == dict.fromkeys("abc", pytest.approx(1 / 3))
    assert table(blend, members, labels)["weight"].tolist() == pytest.approx([1 / 3] * 3)


def test_weights_are_fitted_where_that_is_better_by_more_than_noise() -> None:
    members, labels = sample(3000, {"good": 0.3, "weak": 3.0})
    weights = fit(members, labels, seed=1).weights
    # The best weights of unbiased members are as their precisions: 1 / 0.3² to 1 / 3².
    assert weights["good"] == pytest.approx(100 / 101, abs=0.03)
    assert sum(weights.values()) == pytest.approx(1)


def test_no_weight_is_negative() -> None:
    members, labels = sample(3000, {"good": 0.3, "other": 0.3})
    members["against"] = -3 * members["good"]
    blend = fit(members, labels, seed=1)
    assert set(blend.weights) == {"good", "other"}
    assert table(blend, members, labels)["weight"].tolist()[2] == 0
    assert table(blend, members, labels)["validation_auc"][2] < 0.5


def test_few_rows_do_not_stop_it() -> None:
    labels = np.array([0, 1] * 2 + [0] * 6, np.int8)
    blend = fit({"a": 9.0 * labels, "b": 8.0 * labels}, labels, seed=1)
    assert np.isfinite(blend.log_odds({"a": 9.0 * labels, "b": 8.0 * labels})).all()


@pytest.mark.parametrize("members", [{}, {"a": np.zeros(4)}])
def test_a_blend_has_two_members_at_least(members: dict[str, np.ndarray]) -> None:
    with pytest.raises(ProtocolError, match=r"two trained models at least, and there is (none|a)$"):
        fit(members, np.array([0, 1, 0, 1], np.int8), seed=1)


@pytest.mark.parametrize(
    ("contenders", "ordered"),
    [
        (["x-a"], ["x-a"]),
        (["x-blend"], ["x-a", "x-b", "x-c", "x-blend"]),
        (["x-b", "x-blend"], ["x-b", "x-a", "x-c", "x-blend"]),
        (["x-blend", "x-c", "x-a"], ["x-a", "x-c", "x-blend"]),
        (["x-a", "y-b", "x-b", "x-blend"], ["x-a", "y-b", "x-b", "x-blend"]),
    ],
)
def test_a_blend_comes_after_its_members(contenders: list[str], ordered: list[str]) -> None:
    assert sorted(with_members(contenders, "abc")) == sorted(ordered)
    assert with_members(contenders, "abc")[-1] == ordered[-1]
