import numpy as np
import pytest

from fl.config.network import NetworkConfig
from fl.network import inference
from fl.network.models import embed, new_bottom, new_top, predict, set_weights

CONFIG = NetworkConfig(embedding=5, top=7)


@pytest.fixture
def rows() -> tuple:
    """A bank and two passive parties: their bottoms' inputs of 300 rows, and who knows each."""
    rng = np.random.default_rng(4)
    inputs = [rng.normal(size=(300, width)).astype(np.float32) for width in (37, 11, 64)]
    bottoms = [new_bottom(part.shape[1], 1, f"party {k}", CONFIG) for k, part in enumerate(inputs)]
    top = new_top(2, 0.2, 1, CONFIG)
    set_weights(top.module, rng.normal(size=top.weights().shape).astype(np.float32))
    return inputs, bottoms, top, rng.random((300, 2)) < 0.6


def odds_of(rows: tuple, chosen: np.ndarray) -> np.ndarray:
    (bank, *passive), (bottom, *bottoms), top, present = rows
    embedded = [inference.embed(b.module, part[chosen]) for b, part in zip(bottoms, passive, strict=True)]
    return inference.log_odds(bottom.module, top.module, bank[chosen], embedded, present[chosen])


def test_it_is_the_network_that_was_trained(rows: tuple) -> None:
    (own, *others), (bottom, *bottoms), top, present = rows
    embedded = [embed(b, part) for b, part in zip(bottoms, others, strict=True)]
    log_odds = predict(bottom, top, own, embedded, present)
    np.testing.assert_allclose(odds_of(rows, np.arange(300)), log_odds, atol=1e-4)


def test_a_row_does_not_depend_on_the_rows_beside_it(rows: tuple) -> None:
    together, rng = odds_of(rows, np.arange(300)), np.random.default_rng(1)
    for size in (1, 2, 7, 64, 299):
        chosen = rng.permutation(300)[:size]
        np.testing.assert_array_equal(odds_of(rows, chosen), together[chosen])


def test_what_an_unknown_business_has_at_a_party_does_not_matter(rows: tuple) -> None:
    inputs, bottoms, top, present = rows
    changed = [inputs[0], inputs[1].copy(), inputs[2]]
    changed[1][~present[:, 0]] = 99
    found = odds_of((changed, bottoms, top, present), np.arange(300))
    np.testing.assert_array_equal(found, odds_of(rows, np.arange(300)))
