"""Founding firms."""

import numpy as np
import pytest

from synthetic_data.firms import found, two_piece


def test_two_piece_has_the_stated_percentiles() -> None:
    values = two_piece(np.random.default_rng(0).standard_normal(200_000), 5, 36, 300)
    assert np.percentile(values, [10, 50, 90]) == pytest.approx([5, 36, 300], rel=0.03)


def test_parts_of_emergency_finance_add_to_one() -> None:
    firms = found(50, 0, 0, np.random.default_rng(0))
    parts = firms.overdraft_part + firms.tax_part + firms.trade_part + firms.private_part
    assert parts == pytest.approx(np.ones(50))


def test_well_managed_firms_earn_more() -> None:
    firms = found(5000, 0, 0, np.random.default_rng(0))
    assert np.corrcoef(firms.quality, firms.margin - firms.fixed)[0, 1] > 0.4


def test_newcomers_take_their_slots() -> None:
    firms = found(10, 0, 0, np.random.default_rng(0))
    firms.put(np.array([2, 5]), found(2, 7, 10, np.random.default_rng(1)))
    assert firms.serial.tolist() == [0, 1, 10, 3, 4, 11, 6, 7, 8, 9]
    assert firms.take(np.array([5])).founded.tolist() == [7]
