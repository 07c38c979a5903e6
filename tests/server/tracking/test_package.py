import logging
import os
import subprocess
import sys

import pytest

from server.tracking import ENVIRONMENT


def test_nothing_is_reported_to_the_makers_of_mlflow_and_nothing_needless_to_the_user():
    assert ENVIRONMENT.keys() <= os.environ.keys()
    assert not logging.getLogger("mlflow.store.db.utils").isEnabledFor(logging.INFO)


@pytest.mark.parametrize("module", ["registry", "study", "tracked_run"])
def test_mlflow_is_told_to_report_nothing_before_it_is_imported(module: str) -> None:
    # In a process of its own, where nothing has imported MLflow yet.
    program = f"""
import os, sys
class Watch:
    def find_spec(self, name, path, target=None):
        if name == "mlflow":
            print(os.environ.get("MLFLOW_DISABLE_TELEMETRY"), flush=True)
            os._exit(0)  # To import it takes seconds, and tells no more.
sys.meta_path.insert(0, Watch())
import server.tracking.{module}
"""
    clean = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=clean, check=False
    )
    assert (run.returncode, run.stdout.strip()) == (0, "true"), run.stderr
