"""A recalibration as a file, and what it adds to answers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.challenge import Inference
from experiments.challenge.recalibration import Recalibration, log_odds, read_recalibration
from fl.errors import ConfigError

WRITTEN = Recalibration(
    model="s/federated-boosting/1",
    slope=0.5,
    intercept=1.0,
    outcomes=7,
    reject_inference=Inference.parcelling,
    factor=1.5,
)


def test_a_file_says_what_was_fitted_and_for_which_model(tmp_path: Path) -> None:
    path = tmp_path / "champion.toml"
    WRITTEN.write(path)
    assert read_recalibration(path, "s/federated-boosting/1") == WRITTEN
    with pytest.raises(ConfigError, match="is a calibration of s/federated-boosting/1, and not of s/other/1"):
        read_recalibration(path, "s/other/1")
    path.write_text("slope = 'much'", "utf-8")
    with pytest.raises(ConfigError, match="is no calibration"):
        read_recalibration(path, "s/federated-boosting/1")
    with pytest.raises(ConfigError, match="There is no calibration"):
        read_recalibration(tmp_path / "none.toml", "s/federated-boosting/1")


def test_answers_keep_their_pd_and_get_another_after_it_unless_another_model_answered() -> None:
    answers = pd.DataFrame({"id": ["a", "b", "c"], "pd": [0.2, 0.5, 1.0]}).assign(
        model=["federated-boosting", "federated-boosting + bank-only-boosting", "bank-only-boosting"]
    )
    after = WRITTEN.apply(answers)
    assert after.columns.tolist() == ["id", "pd", "pd_recalibrated", "model"]
    assert after["pd"].tolist() == [0.2, 0.5, 1.0]
    np.testing.assert_allclose(log_odds(after["pd_recalibrated"][:2]), 1 + 0.5 * np.log([0.25, 1.0]))
    assert np.isnan(after["pd_recalibrated"][2])
