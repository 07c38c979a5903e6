"""A recorded run of the network of several banks."""

from dataclasses import replace

from experiments.attacks.banks import recording
from fl.config.network import NetworkConfig

FEWER = 4


def variants(config: NetworkConfig) -> dict[str, NetworkConfig]:
    """What is compared: the settings as they are, and a `FEWER`th of the rounds."""
    fewer = max(1, config.rounds // FEWER)
    return {"as-set": config, f"rounds-{fewer}": replace(config, rounds=fewer)}


class Recording(recording.Recording):
    """The network of several banks, and what each heard and the coordinator was shown."""

    contender = "banks-network"
    variants = staticmethod(variants)
