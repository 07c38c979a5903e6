"""The view of MLflow's browser interface that shows who won: the runs of the latest study, sorted by AUC.

MLflow shows runs without their metrics until someone selects columns. What its "share" button saves, a view
under a key among the experiment's tags, is written here as well, so that one link opens the leaderboard.
"""

import json

KEY = "leaderboard"
TAG = f"mlflow.sharedViewState.{KEY}"

METRICS = ("auc", "uplift_auc", "gini", "ks", "brier", "seconds")
_RUN_NAME = "attributes.`Run Name`"


def view_state(parent_run_id: str, metrics: tuple[str, ...] = METRICS) -> str:
    """The value of the experiment's tag `TAG`: the children of a run, best AUC first, beside a few metrics."""
    columns = [f"metrics.`{name}`" for name in metrics]
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
