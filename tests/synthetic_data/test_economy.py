"""The realised economy."""

import numpy as np

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
    assert recession[before + 3 :].sum() > 1.2 * base[before + 3 :].sum()


def relative_risk(world: str) -> float:
    """Failure rate in the year after the failure of a large customer, against that after a small one's."""
    failed, months = np.zeros(2), np.zeros(2)
    since = before = None
    for present in run(world, 1, 6000):
        serial, exposures = present.firms.serial.copy(), present.economy.exposures
        lost = exposures[:, : len(serial)] @ present.failed
        if since is None:
            since, before = np.full((2, len(serial)), 99), serial
        since = np.where(serial == before, since + 1, 99)
        for group in (0, 1):
            member = (since[group] <= 12) & (since[1 - group] > 12)
            failed[group] += present.failed[member].sum()
            months[group] += member.sum()
        since[0][(lost > 0) & (lost < 0.08)] = 0
        since[1][lost > 0.15] = 0
        before = serial
    rates = failed / months
    return float(rates[1] / rates[0])


def test_failures_of_customers_raise_failures_of_suppliers_by_the_loss() -> None:
    """Jacobson and von Schedvin (2015): a supplier's risk rises with its loss from failed customers."""
    with_contagion, without = relative_risk("base"), relative_risk("no-contagion")
    assert with_contagion > 1.1
    assert with_contagion > 1.1 * without
