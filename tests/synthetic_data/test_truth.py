"""What only the generator knows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from synthetic_data import generate


def test_truth_is_in_the_order_of_the_applications(dataset: Path) -> None:
    truth = pd.read_parquet(dataset / "truth" / "applicants.parquet")
    applications = pd.read_parquet(dataset / "bank" / "applications.parquet")
    for column in ("business_id", "observation_month", "default"):
        assert truth[column].tolist() == applications[column].tolist()
    assert (truth["loan"] * truth["scale"]).to_numpy() == pytest.approx(
        applications["requested_amount"], rel=1e-4
    )
    assert truth.notna().all(axis=None)


def test_without_futures_there_is_no_true_pd(dataset: Path) -> None:
    assert "true_pd" not in pd.read_parquet(dataset / "truth" / "applicants.parquet")


@pytest.mark.slow
def test_true_pd_is_calibrated_and_ranks_well(tmp_path: Path) -> None:
    generate(tmp_path / "data", 5000, "base", 2, truth=True)
    truth = pd.read_parquet(tmp_path / "data" / "truth" / "applicants.parquet")
    pd_, default = truth["true_pd"].to_numpy(), truth["default"].to_numpy()
    noise = np.sqrt((pd_ * (1 - pd_)).sum()) / len(pd_)
    # Beyond the binomial noise there is that of the systemic shocks that all applicants share.
    assert abs(default.mean() - pd_.mean()) < 3 * noise + 0.004
    assert roc_auc_score(default, pd_) > 0.86
