"""Settings of the blend."""

from dataclasses import dataclass

from fl.config.checks import Names, check, require, written


@dataclass(frozen=True)
class BlendConfig:
    """Settings of the blend (`fl/blend.py`).

    members  the algorithms whose models it mixes, where the run has trained them; two at least
    """

    members: Names = ("boosting", "network", "scorecard")

    def __post_init__(self) -> None:
        check(self, "blend.")
        require(len(self.members) > 1, "blend.members", "two names at least", written(self.members))
