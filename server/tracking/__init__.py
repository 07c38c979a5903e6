"""Runs in MLflow: what a coordinator logs of the contenders that it trains and of the applicants that it scores."""

import os

ENVIRONMENT = {
    # MLflow reports usage to its makers unless told otherwise. Nothing about a bank's study leaves the machine.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # Warnings from within MLflow's server are not for its users to act on.
    "PYTHONWARNINGS": "ignore",
    # It imports GitPython, which warns at length where there is no git.
    "GIT_PYTHON_REFRESH": "quiet",
    # The job runner of its server takes seconds and starts more processes, for workflows that nobody uses here.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
"""The environment variables that MLflow should find, as a library and as a server."""

# MLflow reads them when it is imported, hence before any module of this package. What the user has set stays.
os.environ.update(ENVIRONMENT | dict(os.environ))
