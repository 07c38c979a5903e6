"""The realised economy."""

import numpy as np
import pytest

from synthetic_data import WORLDS, calendar
from synthetic_data.economy import Economy, can_close, closing_hazard


def run(world: str = "base", seed: int = 0, businesses: int = 1500):
    return Economy(businesses, WORLDS[world], np.random.SeedSequence(seed)).months()


def test_the_same_seed_replays_the_same_economy() -> None:
    for one, other in zip(run(), run(), strict=True):
        assert (one.state.liquidity == other.state.liquidity).all()
        assert (one.failed == other.failed).all()


def test_every_month_of_the_calendar_is_simulated() -> None:
    months = [present.month for present in run(businesses=200)]
    assert months == list(range(calendar.FIRST_MONTH, calendar.LAST_MONTH + 1))


def test_a_vintage_a_month_and_a_business_applies_once() -> None:
    vintages = [present.applications for present in run() if present.applications is not None]
    assert len(vintages) == calendar.VINTAGES
    serials = np.concatenate([vintage.serial for vintage in vintages])
    assert len(serials) == len(set(serials)) == 1500


def test_whoever_closes_in_good_order_could_repay() -> None:
    for present in run(businesses=400):
        assert can_close(present.state)[present.closed].all()
        assert not (present.closed & present.failed).any()


def test_young_firms_close_more_often() -> None:
    assert (np.diff(closing_hazard(np.array([0, 12, 60, 200]))) < 0).all()


def test_books_stay_within_reason() -> None:
    for present in run():
        state = present.state
        assert all(np.isfinite(values).all() for values in vars(state).values())
        assert state.owed.min() >= 0
        assert state.debt.min() >= 0
    assert np.abs(np.median(state.liquidity)) < 3


def failures(world: str, seed: int) -> np.ndarray:
    return np.array([present.failed.mean() for present in run(world, seed, 4000)])


def test_the_downturn_raises_failures_and_only_afterwards() -> None:
    base, recession = failures("base", 0), failures("recession", 0)
    before = calendar.DOWNTURN_MONTH - calendar.FIRST_MONTH
    assert (base[:before] == recession[:before]).all()
    assert recession[before + 3 :].sum() > 1.3 * base[before + 3 :].sum()


def test_failures_of_customers_raise_failures_of_suppliers() -> None:
    """Jacobson and von Schedvin (2015): a supplier's risk rises with its loss from failed customers."""
    rates = {}
    for world in ("base", "no-contagion"):
        struck, chance = [], []
        since_hit = serial = None
        for present in run(world, 1, 6000):
            hit = np.asarray(present.economy.exposures @ np.append(
                present.economy.failed, np.zeros(present.economy.network.cores)
            )).ravel()
            if serial is not None:
                since_hit = np.where(serial == present.firms.serial, since_hit + 1, 99)
                exposed = since_hit <= 6
                struck.append((present.failed[exposed].sum(), exposed.sum()))
                chance.append((present.failed[~exposed].sum(), (~exposed).sum()))
            else:
                since_hit = np.full(len(hit), 99)
            since_hit = np.where(hit > 0.10, 0, since_hit)
            serial = present.firms.serial.copy()
        (failed, months), (others, their_months) = np.sum(struck, axis=0), np.sum(chance, axis=0)
        rates[world] = (failed / months) / (others / their_months)
    assert rates["base"] > 1.25
    assert rates["no-contagion"] == pytest.approx(1, abs=0.25)
    assert rates["base"] > rates["no-contagion"]
