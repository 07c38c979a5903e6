"""Settings of what several banks train together."""

from dataclasses import dataclass
from typing import Annotated

from fl.config.checks import NotNegative, ProperShare, check, one_of


@dataclass(frozen=True)
class BanksConfig:
    """Settings of models of several banks (`fl/banks`). All else is set by the section of the algorithm.

    allow_two    whether two banks may train together, though each can take its own part off every sum, and has the
                 other's
    epsilon      differential privacy of each training row towards the other banks: all sums of a model together are
                 (ε, δ)-private by noise that every bank adds (`fl/secure_sums/noise.py`); 0: no noise
    delta        of the same
    recalibrate  how each bank corrects the log odds of `banks-…` by its own validation rows, where these speak for it:
                 `offset` shifts them, `logistic` stretches them, too, and `none` leaves them. In `hybrid-boosting`
                 each bank does both, always, by `boosting.calibrate`
    """

    allow_two: bool = False
    epsilon: NotNegative = 0.0
    delta: ProperShare = 1e-5
    recalibrate: Annotated[str, one_of("none", "offset", "logistic")] = "none"

    def __post_init__(self) -> None:
        check(self, "banks.")
