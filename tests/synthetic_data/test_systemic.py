"""What firms share, and contagion between them."""

import numpy as np
import pytest
from scipy import sparse

from synthetic_data import calendar
from synthetic_data.firms import SECTORS
from synthetic_data.systemic import Factors, core_lateness, firm_lateness, surroundings

MONTH = calendar.FIRST_OBSERVATION
EXPOSURES = sparse.csr_matrix(np.array([[0, 0.4, 0], [0, 0, 0.3]], dtype=np.float32))
NO_CYCLE = np.zeros(2, np.float32)


def around(lateness: list[float], failed: list[float], contagion: bool = True):
    late, gone = np.array(lateness, np.float32), np.array(failed, np.float32)
    return surroundings(MONTH, NO_CYCLE, EXPOSURES, late, gone, contagion)


def test_a_supplier_waits_for_its_own_late_customer_only() -> None:
    calm, strained = around([0.1] * 3, [0] * 3), around([0.1, 0.9, 0.1], [0] * 3)
    assert strained.lateness[0] - calm.lateness[0] == pytest.approx(0.4 * 0.8, abs=1e-6)
    assert strained.lateness[1] == calm.lateness[1]


def test_a_supplier_loses_in_proportion_to_its_exposure() -> None:
    hit = around([0.1] * 3, [0, 1, 1])
    assert hit.loss[0] / hit.loss[1] == pytest.approx(4 / 3)
    assert (hit.lost_demand > 0).all()


def test_without_contagion_a_partner_is_like_any_other() -> None:
    hit = around([0.1, 0.9, 0.2], [1, 1, 1], contagion=False)
    assert not hit.loss.any()
    spread = around([0.9, 0.1, 0.2], [0, 0, 0], contagion=False)
    assert hit.lateness == pytest.approx(spread.lateness)


def test_strain_makes_late() -> None:
    capacity, part = np.ones(2, np.float32), np.full(2, 0.25, np.float32)
    assert firm_lateness(np.array([-0.8, 0.5], np.float32), capacity, part).argmax() == 0
    assert (np.diff(core_lateness(np.array([-1.0, 0.0, 1.0], np.float32))) < 0).all()


def test_outside_customers_pay_later_in_a_downturn() -> None:
    late = np.full(3, 0.1, np.float32)
    slump = surroundings(MONTH, NO_CYCLE - 0.2, EXPOSURES, late, 0 * late, True)
    assert (slump.lateness > around([0.1] * 3, [0] * 3).lateness).all()


def test_factors_are_stationary_and_futures_of_them_differ() -> None:
    rng = np.random.default_rng(0)
    factors = Factors.opening(500, rng).repeat(4)
    for _ in range(50):
        factors.advance(rng)
    assert factors.cores.shape == (500, 4)
    assert factors.cores.std() == pytest.approx(1, abs=0.1)
    assert len(np.unique(factors.macro)) == 4


def test_sectors_differ_in_their_response_to_the_cycle() -> None:
    factors = Factors.opening(3, np.random.default_rng(0))
    factors.macro = np.float32(0.1)
    cycle = factors.cycle(np.array([SECTORS.index("agriculture"), SECTORS.index("construction")]), MONTH, 0.0)
    assert 0 < cycle[0] < cycle[1]
