import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from experiments.baselines.trees import train_trees
from fl.splits import split_by_label


@pytest.fixture
def rows() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=1500), "empty": np.nan})
    frame["kind"] = pd.Categorical(rng.choice(["a", "b", None], 1500), ["a", "b", "unused"])
    logit = 2 * frame["x"] + 2 * (frame["kind"] == "b")
    labels = (logit + rng.logistic(size=1500) > 1).astype(np.int8)
    return frame, labels.to_numpy(), split_by_label(labels.to_numpy(), 0.3, 0.2, rng)


def test_trees_learn_from_numbers_categories_and_gaps(rows: tuple) -> None:
    frame, labels, roles = rows
    pds, curve = train_trees(frame, labels, roles, seed=1)

    assert pds.shape == (1500,)
    assert ((pds > 0) & (pds < 1)).all()
    assert roc_auc_score(labels[roles == 2], pds[roles == 2]) > 0.8
    losses = [metrics["valid.loss"] for metrics in curve]
    assert 1 < len(losses) < 500
    assert min(losses) < losses[0]


def test_test_rows_never_teach(rows: tuple) -> None:
    frame, labels, roles = rows
    pds, _ = train_trees(frame, labels, roles, seed=1)
    flipped = np.where(roles == 2, 1 - labels, labels).astype(np.int8)
    np.testing.assert_array_equal(train_trees(frame, flipped, roles, seed=1)[0], pds)


def test_the_seed_decides_what_is_left_to_chance(rows: tuple) -> None:
    frame, labels, roles = rows
    first, again, other = (
        train_trees(frame.assign(y=-frame["x"]), labels, roles, seed)[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_column_may_have_more_levels_than_the_library_takes(rows: tuple) -> None:
    frame, labels, roles = rows
    towns = pd.Categorical([f"town {number % 400}" for number in range(1500)])
    pds, _ = train_trees(frame.assign(town=towns), labels, roles, seed=1)
    assert np.isfinite(pds).all()
