"""Which attacks are played on which federated contender."""

from rich.table import Table

from experiments.attacks.boosting import bins
from experiments.attacks.boosting import labels as labels_by_nodes
from experiments.attacks.boosting import recording as boosting
from experiments.attacks.network import features
from experiments.attacks.network import labels as labels_by_gradients
from experiments.attacks.network import recording as network
from experiments.attacks.report import Plan, play_all
from experiments.attacks.tables import boosting_tables, network_tables
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from server.progress import Report

PLANS = {
    plan.recording.contender: plan
    for plan in (
        Plan(
            recording=network.Recording,
            variants=network.defences,
            labels=labels_by_gradients.play,
            columns=features.reconstruct,
            tables=network_tables,
        ),
        Plan(
            recording=boosting.Recording,
            variants=boosting.options,
            labels=labels_by_nodes.play,
            receivers=(labels_by_nodes.COORDINATOR,),
            columns=bins.reconstruct,
            tables=boosting_tables,
        ),
    )
}


def play(contender: str, config: TrainingConfig, party: str, report: Report) -> tuple[list[Table], int]:
    """The attacks as tables, and the fewest applicants behind any number of an evaluation message.

    Raises ConfigError for a contender that nobody attacks, and as `play_all` does.
    """
    if contender not in PLANS:
        raise ConfigError(f"There are attacks on {' and '.join(PLANS)}, not on {contender!r}.")
    attacks = play_all(PLANS[contender], config, party, report)
    return PLANS[contender].tables(attacks), attacks.group
