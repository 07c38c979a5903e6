import pytest

from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from server.boosting import round_trips


@pytest.mark.parametrize(
    ("passive", "ahead", "sealed", "expected"),
    [
        (0, "tree", True, 3 + 20),
        (1, "tree", False, 7 + 20 * 8),
        (1, "level", False, 7 + 20 * 10),
        (1, "none", False, 7 + 20 * 16),
        (3, "tree", True, 7 + 20 * 8),
        (3, "tree", False, 7 + 20 * 12),
        (3, "level", False, 7 + 20 * 13),
        (3, "none", True, 7 + 20 * 16),
    ],
)
def test_round_trips_by_what_is_sent_ahead(passive: int, ahead: str, sealed: bool, expected: int) -> None:
    boosting = BoostingConfig(trees=20, depth=4, ahead=ahead, sealed_sides=sealed)
    assert round_trips(TrainingConfig().with_section(boosting), passive) == expected
