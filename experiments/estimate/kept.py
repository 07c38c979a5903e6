"""What `siloscore compare --estimate` said, kept beside the MLflow store until a run can tell how far off it was."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from experiments.comparison.result import Result
from experiments.dataset import Dataset
from experiments.estimate.formulas import megabytes, plan_of, sizes_of
from fl.config.run import TrainingConfig
from fl.protocols import vertical_contenders
from server.tracking.study import local_store, store_uri


def keep(estimates: pd.DataFrame, dataset: Dataset, config: TrainingConfig) -> None:
    """Keep a table of `forecast.estimates`, in place of an earlier one of the same data and settings.

    A store behind an address has no folder of its own here, and nothing is kept beside it.
    """
    if (file := _file(dataset, config)) is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        estimates.to_json(file, orient="records")


def compared(
    dataset: Dataset, config: TrainingConfig, results: Iterable[Result], backend: str
) -> pd.DataFrame:
    """How far off the estimate was: a row for each contender, seed and quantity.

    The columns are contender, seed, quantity, estimated, measured, and off_by, which is estimated / measured - 1. Round
    trips and megabytes of federated contenders follow from formulas, for as many rounds as training usually takes. CPU
    seconds and seconds are those of the last estimate of the same data and settings, if one was made: to know what a
    step takes here costs more than a run should spend on that.
    """
    file, sizes, rows = _file(dataset, config), sizes_of(dataset, config), []
    said = (
        pd.read_json(file, orient="records").set_index("contender")
        if file is not None and file.exists()
        else pd.DataFrame()
    )
    for result in results:
        name, costs, pairs = result.contender, result.costs, dict[str, tuple[float, float]]()
        plan = plan_of(name, config, sizes) if name in vertical_contenders() else None
        if plan is not None:
            moved = (costs["bytes_up"] + costs["bytes_down"]) / 1e6
            pairs["round trips"] = (plan.round_trips, costs["round_trips"])
            pairs["megabytes"] = (megabytes(plan, plan.rounds), moved)
        if name in said.index:
            pairs["CPU seconds"] = (said.loc[name, "cpu_seconds"], costs["cpu_seconds"])
            pairs["seconds"] = (60 * said.loc[name, backend], costs["seconds"])
        rows += [
            {
                "contender": name,
                "seed": result.seed,
                "quantity": quantity,
                "estimated": estimated,
                "measured": measured,
                "off_by": estimated / measured - 1,
            }
            for quantity, (estimated, measured) in pairs.items()
            if measured
        ]
    return pd.DataFrame(rows)


def _file(dataset: Dataset, config: TrainingConfig) -> Path | None:
    """Where an estimate of these data and settings is kept, whatever the study's name, contenders and seeds."""
    store = local_store(store_uri(config))
    if store is None:
        return None
    settings = replace(config, study="", state="", journal="", contenders=(), seeds=(0,)).digest
    key = hashlib.sha256(json.dumps([dataset.facts.digest, settings]).encode()).hexdigest()
    return store.parent / "estimates" / f"{key[:16]}.json"
