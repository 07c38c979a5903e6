"""Which attacks are played on which federated contender."""

from rich.table import Table

from experiments.attacks import report as network
from experiments.attacks.boosting import report as boosting
from experiments.attacks.tables import boosting_tables, network_tables
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from server.progress import Report

NETWORK, BOOSTING = "federated-network", "federated-boosting"


def play(contender: str, config: TrainingConfig, party: str, report: Report) -> tuple[list[Table], int]:
    """The attacks as tables, and the fewest applicants behind any number of an evaluation message.

    Raises ConfigError for a contender that nobody attacks, and as `play_all` does.
    """
    if contender == BOOSTING:
        on_forest = boosting.play_all(config, party, report)
        return boosting_tables(on_forest), on_forest.group
    if contender == NETWORK:
        on_network = network.play_all(config, party, report)
        return network_tables(on_network), on_network.group
    raise ConfigError(f"There are attacks on {NETWORK} and {BOOSTING}, not on {contender!r}.")
