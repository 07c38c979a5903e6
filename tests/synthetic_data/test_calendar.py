"""Months, season and downturn."""

import numpy as np
import pytest

from synthetic_data import calendar


def test_the_season_has_mean_one_and_its_trough_at_spring_festival() -> None:
    assert calendar.SEASON.mean() == pytest.approx(1, abs=0.001)
    assert calendar.SEASON.argmin() == 1
    assert set(np.argsort(calendar.SEASON)[-2:]) == {0, 11}


def test_the_downturn_opens_with_the_out_of_time_performance_windows() -> None:
    first_held_out = calendar.LAST_OBSERVATION - calendar.OUT_OF_TIME_VINTAGES + 1
    assert calendar.downturn(first_held_out, 0.2) == 0
    assert -0.2 < calendar.downturn(first_held_out + 1, 0.2) < 0
    assert calendar.downturn(calendar.LAST_MONTH, 0.2) == pytest.approx(-0.2)


def test_timestamps_are_first_days() -> None:
    assert calendar.timestamps(np.array([0, 13])).tolist() == [
        np.datetime64(text, "s").item() for text in ("1970-01-01", "1971-02-01")
    ]
