import numpy as np
import pytest

from fl.binning import UNKNOWN
from fl.config.scorecard import ScorecardConfig
from fl.scorecard.points import PointsTable, Scale, codes_of, obeys, prefixes, worst


@pytest.fixture
def table() -> PointsTable:
    """Columns 2 and 7 with points (10, −5, 0) and (3, 4)."""
    return PointsTable(np.array([2, 7]), np.array([3, 2]), np.array([10, -5, 0, 3, 4]))


def test_twenty_points_double_the_odds_and_600_stand_for_50_to_1() -> None:
    scale = Scale.of(ScorecardConfig())
    odds = np.exp(-scale.log_odds(np.array([600, 620, 580])))
    np.testing.assert_allclose(odds, [50, 100, 25])
    assert scale.base(-np.log(50)) == 600
    assert scale.points(np.array([np.log(2), -np.log(2), 0.0])).tolist() == [-20, 20, 0]


def test_a_row_has_the_points_of_its_groups(table: PointsTable) -> None:
    codes = np.array([[0, 1], [1, 0], [UNKNOWN, UNKNOWN]], np.uint8)
    assert table.totals(codes).tolist() == [14, -2, 0]


def test_reasons_are_what_the_best_group_would_have_given_more(table: PointsTable) -> None:
    codes = np.array([[1, 0], [2, 1], [0, 1], [UNKNOWN, UNKNOWN]], np.uint8)
    names, lost = table.reasons(codes)
    assert names.tolist() == [[2, 7, -1, -1], [2, -1, -1, -1], [-1] * 4, [-1] * 4]
    assert lost.tolist() == [[15, 1, 0, 0], [10, 0, 0, 0], [0] * 4, [0] * 4]


def test_the_worst_of_several_parties_with_ties_in_their_order() -> None:
    first = (np.array([["A1", "A2", "", ""]]), np.array([[9, 3, 0, 0]], np.int32))
    second = (np.array([["B1", "B2", "B3", ""]]), np.array([[9, 8, 3, 0]], np.int32))
    names, lost = worst([first, second])
    assert names.tolist() == [["A1", "B1", "B2", "A2"]]
    assert lost.tolist() == [[9, 9, 8, 3]]


def test_a_party_without_columns_gives_no_points() -> None:
    none = np.empty(0, np.int64)
    empty = PointsTable(none, none, none)
    codes = np.empty((2, 0), np.uint8)
    assert empty.totals(codes).tolist() == [0, 0]
    names, lost = empty.reasons(codes)
    assert names.tolist() == [[-1] * 4] * 2
    assert lost.shape == (2, 4)


def test_points_against_a_sign_are_seen(table: PointsTable) -> None:
    runs = np.array([2, 2])
    assert obeys(table, runs, np.array([1, 1], np.int8)).tolist() == [True, False]
    assert obeys(table, runs, np.array([-1, -1], np.int8)).tolist() == [False, True]
    assert obeys(table, runs, np.array([0, 0], np.int8)).tolist() == [True, True]


def test_codes_begin_with_letters_of_the_party_or_its_number() -> None:
    assert prefixes(["bank", "tax", "supply_chain"]) == ["BAN", "TAX", "SUP"]
    assert prefixes(["bank", "tax_east", "tax_west"]) == ["P0", "P1", "P2"]
    assert prefixes(["bank", "国家税务总局"]) == ["P0", "P1"]
    assert codes_of("TAX", np.array([[6, -1]], np.int16)).tolist() == [["TAX07", ""]]
