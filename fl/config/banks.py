"""Settings of what several banks train together."""

from dataclasses import dataclass

from fl.config.checks import check


@dataclass(frozen=True)
class BanksConfig:
    """Settings of models of several banks (`fl/banks`). All else is set by the section of the algorithm.

    allow_two  whether two banks may train together, though each can take its own part off every sum, and has the
    other's
    """

    allow_two: bool = False

    def __post_init__(self) -> None:
        check(self, "banks.")
