import numpy as np
import pytest

from fl.binning import Shape
from fl.scorecard.bank import BankColumns
from fl.scorecard.grouping import Grouping
from fl.scorecard.regression import cone_of


@pytest.fixture
def grouping() -> Grouping:
    """Three columns of three bins with signs 1, 0 and −1, of which the second is dropped."""
    shape = Shape(np.full(3, 3), np.zeros(3, np.int64), np.ones(3, bool), np.array([1, 0, -1], np.int8))
    return Grouping(shape, np.array([0, 0, 1, -1, -1, -1, 0, 1, 2], np.int16))


COVERAGE = {
    "customs": np.array([True, False, True]),
    "power": np.ones(3, bool),
    "supply": np.zeros(3, bool),
    "tax": np.array([False, False, True]),
}


def test_a_party_that_knows_some_of_the_rows_has_a_column(grouping: Grouping) -> None:
    bank = BankColumns.of(grouping, COVERAGE)
    assert bank.covered == {"customs": 0, "tax": 3}
    assert bank.whole.columns.tolist() == [0, 2, 3, 6]
    assert bank.whole.counts.tolist() == [2, 3, 2, 2]
    codes = np.array([[0, 0, 0], [2, 1, 1], [1, 2, 2]], np.uint8)
    assert bank.transform(codes, COVERAGE).tolist() == [[0, 0, 0, 1], [1, 1, 1, 1], [0, 2, 0, 0]]


def test_being_known_has_no_direction(grouping: Grouping) -> None:
    bank = BankColumns.of(grouping, COVERAGE)
    assert bank.whole.signs.tolist() == [1, -1, 0, 0]
    assert cone_of(bank.whole).bounded.tolist() == [
        False,
        True,
        False,
        True,
        True,
        False,
        False,
        False,
        False,
    ]


def test_a_bank_alone_has_its_own_columns(grouping: Grouping) -> None:
    bank = BankColumns.of(grouping, {})
    assert bank.whole.columns.tolist() == [0, 2]
    assert bank.transform(np.array([[0, 0, 1]], np.uint8), {}).tolist() == [[0, 1]]
