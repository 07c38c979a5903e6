"""The table of what a blend is worth."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from experiments.benchmarks.blend import judged, table
from fl.splits import TEST, VALIDATION


def test_the_member_with_the_best_validation_auc_is_judged_on_the_test_rows() -> None:
    labels, roles = np.tile([0, 1], 4), np.repeat([VALIDATION, TEST], 4)
    right, wrong = labels.astype(float), 1.0 - labels
    pds = {
        ("federated-boosting", 1): np.append(right[:4], wrong[4:]),
        ("federated-network", 1): np.append(wrong[:4], right[4:]),
        ("federated-blend", 1): right,
        ("federated-network", 2): wrong,
    }
    outcome = SimpleNamespace(joined=SimpleNamespace(labels=labels), roles={1: roles}, pds=pds)

    aucs = judged(outcome, 1)

    assert aucs["chosen by validation"] == aucs["federated-boosting"] == 0
    assert aucs["federated-network"] == aucs["federated-blend"] == 1


def test_differences_and_means_stand_beside_the_aucs() -> None:
    aucs = pd.DataFrame(
        {"federated-blend": [0.8, 0.9], "pooled-trees": [0.7, 0.9], "chosen by validation": [0.8, 0.7]},
        ["economy 81", "credit, seed 1"],
    )

    *_, of_economies, of_all = table(aucs).splitlines()

    assert of_economies.split(" | ")[-2:] == ["0.1000", "0.0000 |"]
    assert of_all.split(" | ")[-2:] == ["0.0500", "0.1000 |"]
