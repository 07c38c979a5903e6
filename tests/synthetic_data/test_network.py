"""Links between firms."""

import numpy as np
import pytest

from synthetic_data.firms import found
from synthetic_data.network import LINKS_PER_FIRM, Network


@pytest.fixture
def network() -> Network:
    return Network(found(3000, 0, 0, np.random.default_rng(0)), np.random.default_rng(1))


def test_exposures_are_shares_of_sales(network: Network) -> None:
    shares = network.exposures()
    assert shares.shape == (3000, network.nodes)
    assert shares.data.min() > 0
    assert np.asarray(shares.sum(axis=1)).max() < 1


def test_the_number_of_links_is_stationary(network: Network) -> None:
    for _ in range(12):
        network.renew()
    assert len(network.supplier) / 3000 == pytest.approx(LINKS_PER_FIRM, rel=0.05)


def test_nobody_supplies_itself(network: Network) -> None:
    assert (network.supplier != network.customer).all()


def test_some_customers_are_hubs(network: Network) -> None:
    degree = network.suppliers_of()
    assert degree.max() > 20 * degree.mean()


def test_core_enterprises_are_customers_of_platform_members_only(network: Network) -> None:
    cores = network.exposures()[:, 3000:]
    linked = np.bincount(network.supplier[network.customer >= 3000], minlength=3000) > 0
    outside = ~network.firms.platform & ~linked
    assert cores[network.firms.platform].getnnz(axis=1).min() >= 1
    assert cores[outside].nnz == 0


def test_closed_firms_lose_their_links(network: Network) -> None:
    closed = np.zeros(3000, dtype=bool)
    closed[:100] = True
    network.drop(closed)
    assert network.supplier.min() >= 100
    assert network.customer.min() >= 100
