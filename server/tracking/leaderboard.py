"""The page of MLflow's browser interface that shows who won: the runs sorted by AUC, and its address.

MLflow shows runs without their metrics until someone selects columns. What its "share" button saves, a view
under a key among the experiment's tags, is written here as well, so that one link opens the leaderboard of
the latest study.
"""

import json
import sys

ENVIRONMENT = {
    # MLflow reports usage to its makers unless told otherwise. Nothing about a bank's study leaves the
    # machine.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # Warnings from within MLflow's server are not its users' to act on.
    "PYTHONWARNINGS": "ignore",
    # It imports GitPython, which warns at length where there is no git.
    "GIT_PYTHON_REFRESH": "quiet",
    # Its server's job runner takes seconds and more processes, for workflows that are not ours.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
"""What MLflow, as a library and as a server, should find among its environment variables."""

KEY = "leaderboard"
TAG = f"mlflow.sharedViewState.{KEY}"

_METRICS = ("auc", "uplift_auc", "gini", "ks", "brier", "seconds")
_RUN_NAME = "attributes.`Run Name`"


def view_state(parent_run_id: str) -> str:
    """The experiment's tag `TAG`: the children of a run, best AUC first, beside a few metrics."""
    columns = [f"metrics.`{name}`" for name in _METRICS]
    return json.dumps(
        {
            "searchFilter": f"tags.mlflow.parentRunId = '{parent_run_id}'",
            "orderByKey": "metrics.`auc`",
            "orderByAsc": False,
            "lifecycleFilter": "Active",
            "startTime": "ALL",
            "selectedColumns": columns,
            "columnOrder": [_RUN_NAME, *columns],
            "columnWidths": {_RUN_NAME: 280} | dict.fromkeys(columns, 90),
            # By default charts show the first ten runs only.
            "runsHiddenMode": "SHOW_ALL",
        }
    )


def server_command(uri: str, port: int) -> list[str]:
    """The command that serves the store `uri` to browsers on this machine only; run it in `ENVIRONMENT`."""
    where = ["--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--workers", "1", *where]


def ui_link(base_url: str, experiment_id: str) -> str:
    """The address of the experiment's latest leaderboard, `base_url` being that of MLflow's server.

    Without the workflow type, MLflow opens its pages for language-model applications instead.
    """
    query = f"workflowType=machine_learning&viewStateShareKey={KEY}"
    return f"{base_url.rstrip('/')}/#/experiments/{experiment_id}/runs?{query}"
