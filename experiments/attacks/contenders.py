"""Which attacks `siloscore attack` plays."""

from experiments.attacks.active import ActiveAttack, Outcome, play_active
from experiments.attacks.registry import find
from experiments.attacks.report import Attack, Attacks, play_all
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from server.progress import Report


def play(contender: str, config: TrainingConfig, party: str, report: Report) -> Attacks:
    """The attacks of the curious on a contender.

    Raises ConfigError for a contender that nobody attacks, and as `play_all` does.
    """
    every = find(Attack)
    attacks = [attack for attack in every if attack.recording.contender == contender]
    if not attacks:
        attacked = sorted({attack.recording.contender for attack in every})
        raise ConfigError(f"There are attacks on {', '.join(attacked)}, not on {contender!r}.")
    return play_all(attacks, config, party, report)


def play_hostile(config: TrainingConfig, party: str, report: Report) -> list[Outcome]:
    """The attacks of those who depart from the protocol, by the number of the finding. Raises as `play_active` does."""
    attacks = sorted(find(ActiveAttack), key=lambda attack: attack.finding)
    return play_active(attacks, config, party, report)
