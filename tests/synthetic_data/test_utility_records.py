"""The utility's records."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from synthetic_data import PARTIES, generate


def joined(folder: Path) -> pd.DataFrame:
    """Meters and bills of the observation month beside the latent state of the applicants."""
    generate(folder, 2400, folder.name, seed=4, truth=False, parties=PARTIES)
    meters = pd.read_parquet(folder / "utility" / "meters.parquet")
    records = meters.merge(pd.read_parquet(folder / "utility" / "bills.parquet"), on=["business_id", "month"])
    assert len(records) == len(meters)
    truth = pd.read_parquet(folder / "truth" / "applicants.parquet")
    return truth.merge(
        records, how="left", left_on=["business_id", "observation_month"], right_on=["business_id", "month"]
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return joined(tmp_path_factory.mktemp("utility") / "base")


def test_nine_in_ten_have_a_meter(base: pd.DataFrame) -> None:
    assert base["electricity"].notna().mean() == pytest.approx(0.90, abs=0.02)


def test_values_are_within_bounds(base: pd.DataFrame) -> None:
    known = base.dropna(subset=["electricity"])
    assert (known[["electricity", "water", "billed", "unpaid"]] >= 0).all(axis=None)
    assert known["days_late"].between(0, 60).all()


def test_power_follows_production_more_closely_than_water(base: pd.DataFrame) -> None:
    known = base[base["electricity"] > 0]
    power, water = (np.log((known[name] + 1) / known["scale"]) for name in ("electricity", "water"))
    # Within a vintage, so that the season does not count.
    vintage = known["observation_month"]
    demand = known["demand"] - known["demand"].groupby(vintage).transform("mean")
    correlation = [demand.corr(use - use.groupby(vintage).transform("mean")) for use in (power, water)]
    assert correlation[0] > 0.15
    assert correlation[0] > correlation[1]


def test_strained_firms_pay_late(base: pd.DataFrame) -> None:
    known = base.dropna(subset=["days_late"])
    assert roc_auc_score(known["stretch"] > 0, known["days_late"]) > 0.75


def test_without_partner_signal_lateness_tells_nothing(tmp_path: Path) -> None:
    records = joined(tmp_path / "no-partner-signal")
    known = records.dropna(subset=["days_late"])
    assert roc_auc_score(known["stretch"] > 0, known["days_late"]) == pytest.approx(0.5, abs=0.05)
    assert len(known) / len(records) == pytest.approx(0.90, abs=0.02)
