"""The order of a grower's calls: a demand, where its splits sent rows, the next demand."""

import numpy as np
import pytest

from fl.binning import Shape
from fl.boosting.growing import Grower
from fl.boosting.growth import Data, Growth
from fl.config.boosting import BoostingConfig
from fl.records import decode, encode

CONFIG = BoostingConfig(
    trees=3, parallel=1, depth=2, min_leaf_count=5, l2=1.0, patience=0, row_share=1.0, column_share=1.0
)


@pytest.fixture
def data() -> Data:
    """A bank alone, with one column of four bins that tells something of the labels."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 4, (200, 1)).astype(np.uint8)
    none = np.zeros(1, bool)
    return Data(
        name="bank",
        labels=(rng.random(200) < 0.1 + 0.2 * codes[:, 0]).astype(np.int8),
        training=np.arange(200) < 150,
        codes=codes,
        shape=Shape(np.array([4]), none.astype(np.int64), ~none, np.zeros(1, np.int8)),
        passive=[],
        seed=1,
        secret_generator=np.random.default_rng,
        base=-1.0,
    )


def test_a_demand_is_resolved_before_the_next_one_is_made(data: Data) -> None:
    grower, _ = Grower.begin(data, CONFIG)
    with pytest.raises(RuntimeError, match="before the next one"):
        grower.advance()


def test_a_demand_is_resolved_once(data: Data) -> None:
    grower, _ = Grower.begin(data, CONFIG)
    grower.resolve({})
    with pytest.raises(RuntimeError, match="once"):
        grower.resolve({})


def test_a_forest_ends_with_its_last_tree_and_fits_ever_better(data: Data) -> None:
    grower, _ = Grower.begin(data, CONFIG)
    resolved, fits = grower.resolve({}), []
    assert resolved.fit is None
    while not resolved.ended:
        assert grower.advance().ahead
        resolved = grower.resolve({})
        fits.append(resolved.fit)
    losses = [fit.train_loss for fit in fits]
    assert len(fits) == len(grower.growth.forest.roots) == CONFIG.trees
    assert losses == sorted(losses, reverse=True)


def test_a_growth_that_was_kept_goes_on_as_if_it_had_not(data: Data) -> None:
    grower, _ = Grower.begin(data, CONFIG)
    grower.resolve({})
    grower.advance()
    other = Grower(data, CONFIG, decode(Growth, encode(grower.growth)))
    for one in (grower, other):
        one.resolve({})
        one.advance()
    assert encode(grower.growth) == encode(other.growth)
