"""The Flower ServerApp: the coordinator of one run."""

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fl.config import RunConfig
from server.coordinator import coordinate
from server.progress import append_to, ignore

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the study that the run configuration describes."""
    config = RunConfig.from_mapping(context.run_config)
    coordinate(grid, config, append_to(Path(config.progress)) if config.progress else ignore)
