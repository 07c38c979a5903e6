"""A recorded run of the scorecard of several banks."""

from dataclasses import replace

from experiments.attacks.banks import recording
from fl.config.scorecard import ScorecardConfig

LARGER = 5


def variants(config: ScorecardConfig) -> dict[str, ScorecardConfig]:
    """What is compared: the settings as they are, and groups with `LARGER` times more rows at least."""
    larger = LARGER * config.min_group
    return {"as-set": config, f"min-group-{larger}": replace(config, min_group=larger)}


class Recording(recording.Recording):
    """The scorecard of several banks, and what each heard and the coordinator was shown."""

    contender = "banks-scorecard"
    variants = staticmethod(variants)
