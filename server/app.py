"""The Flower ServerApp: the coordinator of one run."""

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fl.config import RunConfig
from server.coordinator import coordinate
from server.progress import Report, append_to, ignore
from server.scoring import score

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run what the run configuration describes."""
    config = RunConfig.from_mapping(context.run_config)
    conduct(grid, config, append_to(Path(config.progress)) if config.progress else ignore)


def conduct(grid: Grid, config: RunConfig, report: Report) -> None:
    """Score applicants if the configuration names a model to do it by, else train."""
    if config.model:
        score(grid, config, report)
    else:
        coordinate(grid, config, report)
