"""What all tests share: no time limits, and a small study of contenders that differ in strength."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

# How long an example takes depends on the machine and on its other users, so it says nothing about the code.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


class ToyStudy(NamedTuple):
    """Evaluations by contender, and the comparison of them as `server.summary` describes it."""

    evaluations: dict
    comparison: pd.DataFrame


@pytest.fixture(scope="session")
def toy_study() -> ToyStudy:
    from fl import metrics
    from fl.evaluation import evaluate

    generator = np.random.default_rng(5)
    logit = -2.2 + 1.3 * generator.normal(size=2_000)
    labels = (generator.random(2_000) < 1 / (1 + np.exp(-logit))).astype(int)
    region = generator.choice(["island", "county", "urban"], size=2_000, p=[0.01, 0.3, 0.69])
    noise = {"bank-only-network": 2.0, "federated-network": 0.9, "pooled-trees": 0.8, "true-pd": 0.0}
    pds = {
        name: 1 / (1 + np.exp(-(logit + scale * generator.normal(size=2_000))))
        for name, scale in noise.items()
    }
    evaluations = {name: evaluate(labels, values, {"region": region}) for name, values in pds.items()}
    baseline = "bank-only-network"
    rows = []
    for name, values in pds.items():
        test = metrics.delong_test(labels, values, pds[baseline])
        row = {
            key: evaluations[name].metrics[key]
            for key in ("auc", "auc_low", "auc_high", "gini", "ks", "brier")
        }
        row |= {"contender": name, "approval_rate": 0.7, "recovered": np.nan, "cpu_seconds": 9.0}
        row |= {"uplift_auc": test.difference, "uplift_gini_relative": 0.2, "p_value": test.p_value}
        if name == baseline:
            row |= {"uplift_auc": np.nan, "uplift_gini_relative": np.nan, "p_value": np.nan}
        if name == "federated-network":
            row["recovered"] = 0.93
        rows.append(row | {"round_trips": 40, "megabytes": 12.5, "seconds": 6.0})
    return ToyStudy(evaluations, pd.DataFrame(rows))
