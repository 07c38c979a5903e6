"""The pooled twin against XGBoost on real data: exactness is worth nothing if the model is poor."""

from collections.abc import Callable

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from experiments.baselines import boosting
from fl.config.boosting import BoostingConfig
from fl.splits import TRAIN

SETTINGS = BoostingConfig(
    trees=20,
    parallel=1,
    depth=4,
    learning_rate=0.3,
    bins=32,
    l2=1.0,
    row_share=1.0,
    column_share=1.0,
    patience=0,
)


@pytest.mark.external_data
@pytest.mark.slow
@pytest.mark.parametrize("parties", [("bank", "partner"), ("bank",)])
def test_the_pooled_twin_is_as_good_as_xgboost(
    default_credit: tuple, join: Callable, parties: tuple[str, ...]
) -> None:
    xgboost = pytest.importorskip("xgboost")
    frames, labels, roles = default_credit
    train, test = roles == TRAIN, roles == 2
    columns = pd.concat([frames[party] for party in parties], axis=1)
    rival = xgboost.XGBClassifier(
        n_estimators=20, max_depth=4, learning_rate=0.3, max_bin=32, tree_method="hist", n_jobs=1
    )
    rival.fit(columns[train], labels[train])
    expected = roc_auc_score(labels[test], rival.predict_proba(columns[test])[:, 1])

    joined = join(frames, labels, parties)
    log_odds = boosting.train(joined, roles, 1, SETTINGS).log_odds

    assert roc_auc_score(labels[test], log_odds[test]) > expected - 0.003
