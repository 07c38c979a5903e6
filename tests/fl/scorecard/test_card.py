from dataclasses import replace

import numpy as np
import pytest

from fl.binning import Shape
from fl.errors import ProtocolError
from fl.scorecard import Card
from fl.scorecard.card import Share, by_card, check_applied, check_card, given
from fl.scorecard.grouping import Evidence, Grouping


@pytest.fixture
def grouping() -> Grouping:
    """Two columns of a party, of two and three groups; the first rises with the risk."""
    count = 2
    shape = Shape(
        np.array([2, 3], np.int64), np.zeros(count, np.int64), np.ones(count, bool), np.array([1, 0], np.int8)
    )
    return Grouping(shape, np.array([0, 1, 0, 1, 2], np.int16))


@pytest.fixture
def card() -> Card:
    texts = np.array(["late", "young"])
    points = np.array([4, -3, 1, 0, 2], np.int64)
    values = np.array(["≤ 1", "> 1", "a", "b", "any other"])
    return Card(
        columns=np.array([0, 1]),
        points=points,
        values=values,
        stability=np.array([0.1, 0.2]),
        reasons=texts,
        reasons_zh=texts,
    )


def test_a_card_tells_shares_in_whole_per_cents_and_finds_broken_signs_itself(
    grouping: Grouping, card: Card
) -> None:
    goods, bads = np.array([60, 30, 40, 40, 10]), np.array([3, 4, 5, 1, 1])
    evidence = Evidence(grouping, goods, bads, np.array([0.12345, 0.5]))
    share = Share.of_passive("tax", card, evidence)
    assert share.groups["applicants"].tolist() == [0.65, 0.35, 0.46, 0.42, 0.11]
    assert share.columns["information"].tolist() == [0.123, 0.5]
    assert share.columns["obeys"].tolist() == [True, True]
    other = replace(card, points=np.array([-4, 3, 1, 0, 2]))
    assert Share.of_passive("tax", other, evidence).columns["obeys"].tolist() == [False, True]
    assert (share.columns["least"].tolist(), share.columns["most"].tolist()) == ([-3, 0], [4, 2])


WRONG = {
    "another column": {"columns": np.array([0, 2])},
    "too few points": {"points": np.array([1, 2])},
    "points beyond reason": {"points": np.array([4, -3, 1, 0, 10**6])},
    "stability that is no number": {"stability": np.array([0.1, np.nan])},
    "values as numbers": {"values": np.arange(5)},
    "a text of a novel's length": {"values": np.array(["x" * 2000, "", "", "", ""])},
    "a text of several lines": {"reasons": np.array(["late\n| tax | 0 |", "young"])},
    "too many texts": {"reasons_zh": np.array(["a", "b", "c"])},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused(grouping: Grouping, card: Card, change: dict) -> None:
    check_card("tax", card, grouping)
    with pytest.raises(ProtocolError, match="of tax must"):
        check_card("tax", replace(card, **change), grouping)


def test_points_of_rows_must_be_those_of_the_card(grouping: Grouping, card: Card) -> None:
    # Rows in groups (0, 0), (0, 1), (1, 2), the last of them bad, and one that the party does not know.
    goods, bads = np.array([2, 0, 1, 1, 0]), np.array([0, 1, 0, 0, 1])
    evidence = Evidence(grouping, goods, bads, np.zeros(2))
    points, labels = np.array([5, 4, -1, 0], np.int32), np.array([0, 0, 1, 1], np.int8)
    expected = by_card(card, evidence)
    check_applied("tax", given(points, labels), expected)
    with pytest.raises(ProtocolError, match="its goods got 10 in all, by its card 9"):
        check_applied("tax", given(points + (points > 4), labels), expected)
    with pytest.raises(ProtocolError, match="its bads got 0 in all, by its card -1"):
        check_applied("tax", given(np.maximum(points, 0), labels), expected)
