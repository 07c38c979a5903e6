"""The Flower ServerApp: the coordinator of one run."""

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fl.config.run import RunConfig, ScoringConfig, TrainingConfig, read_config
from server.coordinator import coordinate
from server.progress import Report, append_to, ignore
from server.scoring import score

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run what the run configuration describes."""
    config = read_config(context.run_config)
    conduct(grid, config, append_to(Path(config.progress)) if config.progress else ignore)


def conduct(grid: Grid, config: RunConfig, report: Report) -> None:
    """Train, or score applicants, as the kind of configuration says."""
    if isinstance(config, ScoringConfig):
        score(grid, config, report)
    elif isinstance(config, TrainingConfig):
        coordinate(grid, config, report)
