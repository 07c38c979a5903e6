"""The sampler against the distribution that it is to draw from, and the accountant against published examples."""

import sys

import numpy as np
import pytest
from scipy import stats

from fl.errors import ConfigError
from fl.secure_sums.noise import LEAST_VARIANCE, Noise, budget, discrete_gaussian


def chances(variance: int, reach: int) -> np.ndarray:
    """The chances of −reach … reach."""
    weights = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2 * variance))
    return weights / weights.sum()


@pytest.mark.parametrize("variance", [1, 7, 400])
def test_draws_follow_the_discrete_gaussian(variance: int) -> None:
    draws, reach = discrete_gaussian(variance, 6_000), round(3 * variance**0.5)
    expected = chances(variance, 100 * variance)
    middle = len(expected) // 2
    inside = expected[middle - reach : middle + reach + 1]
    seen = np.bincount(np.clip(draws, -reach - 1, reach + 1) + reach + 1, minlength=2 * reach + 3)
    tail = (1 - inside.sum()) / 2
    parts = np.concatenate([[tail], inside, [tail]]) * len(draws)
    # One run in a million fails by chance.
    assert stats.chisquare(seen, parts).pvalue > 1e-6


def test_large_variances_are_exact_whole_numbers() -> None:
    variance = 3_000_000_007**2
    draws = discrete_gaussian(variance, 2_000)
    assert stats.kstest(draws / variance**0.5, "norm").pvalue > 1e-6
    assert len(np.unique(draws)) == len(draws)


@pytest.mark.parametrize("banks", [2, 3, 5])
def test_the_noise_suffices_without_the_share_of_any_bank(banks: int) -> None:
    noise = Noise(epsilon=1.0, delta=1e-5, banks=banks)
    shares = np.stack([noise.share(400.0, 0.1, 4_000) for _ in range(banks)])
    needed = 400 / (2 * 0.1)
    others = shares[1:].sum(axis=0)
    # The variance of that many draws is within 12 % of the true one but for one run in a million.
    assert others.var() == pytest.approx(needed, rel=0.12)
    assert abs(others.mean()) < 5 * (needed / 4_000) ** 0.5
    assert shares.sum(axis=0).std() == pytest.approx(noise.deviation(400.0, 0.1), rel=0.06)


def test_a_share_is_never_so_small_that_a_sum_is_no_gaussian() -> None:
    draws = Noise(epsilon=1.0, delta=1e-5, banks=3).share(1.0, 100.0, 4_000)
    assert draws.var() == pytest.approx(LEAST_VARIANCE, rel=0.12)


def test_the_accountant_says_what_is_published() -> None:
    # From the tests of dp-accounting: noise of 4.530877117 times the change is exactly (1, 10^−6)-private.
    assert budget(1.0, 1e-6) == pytest.approx(1 / (2 * 4.530877117**2), rel=0.03)
    assert budget(1.0, 1e-6) <= 1 / (2 * 4.530877117**2)
    # Proposition 1.3 of Bun and Steinke (2016), which is less exact: ρ-zCDP is (ρ + 2 √(ρ ln 1/δ), δ)-private.
    for epsilon in (1.0, 3.0, 8.0):
        rho = budget(epsilon, 1e-5)
        assert epsilon < rho + 2 * (rho * np.log(1e5)) ** 0.5 < 1.3 * epsilon


def test_what_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    budget.cache_clear()
    with pytest.raises(ConfigError, match=r"siloscore\[privacy\]"):
        _ = Noise(1.0, 1e-5, banks=3).budget
