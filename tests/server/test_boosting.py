import pytest

from fl.config import BoostingConfig
from server.boosting import round_trips


@pytest.mark.parametrize(
    ("passive", "ahead", "expected"),
    [
        (0, "tree", 3 + 20),
        (1, "tree", 7 + 20 * 8),
        (1, "level", 7 + 20 * 10),
        (1, "none", 7 + 20 * 16),
        (3, "tree", 7 + 20 * 12),
        (3, "level", 7 + 20 * 13),
        (3, "none", 7 + 20 * 16),
    ],
)
def test_round_trips_by_what_is_sent_ahead(passive: int, ahead: str, expected: int) -> None:
    assert round_trips(BoostingConfig(trees=20, depth=4, ahead=ahead), passive) == expected
