"""The pooled twin against XGBoost on real data: exactness is worth nothing if the model is poor."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from clients.aligned import Applications
from experiments.baselines.boosting import train_boosting
from experiments.joined import Joined
from fl.config import BoostingConfig
from fl.splits import TRAIN, split_given_test
from fl.tables import Table

DATA = Path(__file__).parents[4] / "shared" / "data" / "default_credit"
SETTINGS = BoostingConfig(trees=20, depth=4, learning_rate=0.3, bins=32, l2=1.0, patience=0)


@pytest.fixture
def data() -> tuple[dict[str, pd.DataFrame], np.ndarray, np.ndarray]:
    """Both parties' columns, the labels, and the roles with the fixed test set, in the order of the ids."""
    if not DATA.is_dir():
        pytest.skip(f"the data set is not at {DATA}")
    bank, partner = (pd.read_csv(DATA / f"{name}.csv", index_col="id") for name in ("bank", "partner"))
    bank, partner = bank.sort_index(), partner.sort_index()
    labels = bank.pop("default").to_numpy(np.int8)
    test = bank.index.isin(pd.read_csv(DATA / "test_ids.csv")["id"])
    roles = split_given_test(labels, test, 0.05, np.random.default_rng(1))
    return {"bank": bank, "partner": partner}, labels, roles


@pytest.mark.slow
@pytest.mark.parametrize("parties", [("bank", "partner"), ("bank",)])
def test_the_pooled_twin_is_as_good_as_xgboost(data: tuple, parties: tuple[str, ...]) -> None:
    xgboost = pytest.importorskip("xgboost")
    frames, labels, roles = data
    train, test = roles == TRAIN, roles == 2
    columns = pd.concat([frames[party] for party in parties], axis=1)
    rival = xgboost.XGBClassifier(
        n_estimators=20, max_depth=4, learning_rate=0.3, max_bin=32, tree_method="hist", n_jobs=1
    )
    rival.fit(columns[train], labels[train])
    expected = roc_auc_score(labels[test], rival.predict_proba(columns[test])[:, 1])

    tables = {party: as_table(frames[party]) for party in parties}
    coverage = {party: tables[party].known for party in parties[1:]}
    applications = Applications(np.empty(0, np.str_), labels, np.empty(0, "datetime64[M]"), {})
    joined = Joined("bank", tables, applications, coverage, {party: {} for party in parties})
    pd_, _ = train_boosting(joined, roles, 1, SETTINGS)

    assert roc_auc_score(labels[test], pd_[test]) > expected - 0.003


def as_table(frame: pd.DataFrame) -> Table:
    none = np.empty((len(frame), 0), np.int32)
    return Table(frame.to_numpy(np.float64), tuple(frame), none, (), (), np.ones(len(frame), bool))
