"""A recorded run of the scorecard of several banks."""

from dataclasses import replace

from experiments.attacks.banks import recording
from fl.config.banks import BanksConfig
from fl.config.scorecard import ScorecardConfig

LARGER, EPSILON = 5, 3.0


def variants(config: ScorecardConfig) -> dict[str, ScorecardConfig | BanksConfig]:
    """What is compared: the settings as they are, groups of `LARGER` times more rows, and noise on all sums."""
    larger = LARGER * config.min_group
    return {
        "as-set": config,
        f"min-group-{larger}": replace(config, min_group=larger),
        f"epsilon-{EPSILON:g}": BanksConfig(allow_two=True, epsilon=EPSILON),
    }


class Recording(recording.Recording):
    """The scorecard of several banks, and what each heard and the coordinator was shown."""

    contender = "banks-scorecard"
    variants = staticmethod(variants)
