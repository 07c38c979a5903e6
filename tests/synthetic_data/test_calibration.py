"""What models can and cannot learn from the economy: means of five seeds with 20,000 applicants each."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer

from clients.parties.bank import BankParty
from clients.parties.supply_chain import SupplyChainParty
from clients.parties.tax import TaxParty
from synthetic_data import calendar, generate

pytestmark = pytest.mark.slow
SEEDS = range(1, 6)


def features(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Applications, and the features of all parties side by side (missing where a party knows nothing)."""
    parties = [
        kind(folder / kind.type, kind.default_declaration(folder / kind.type))
        for kind in (BankParty, TaxParty, SupplyChainParty)
    ]
    applications = parties[0].applications()
    ids, months = applications.index.to_numpy(dtype=str), applications["month"].to_numpy()
    tables = [party.matrix(ids, months).add_prefix(f"{party.type}.") for party in parties]
    return applications, pd.concat(tables, axis=1)


def trees() -> HistGradientBoostingClassifier:
    """Stock trees, moderately tuned."""
    return HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_leaf_nodes=15,
        min_samples_leaf=40,
        l2_regularization=10,
        max_iter=400,
        early_stopping=True,
        validation_fraction=0.15,
        n_iter_no_change=25,
        random_state=0,
    )


def smooth():
    """A linear model of normalised columns: what a network on standardised columns can at least learn."""
    normalise = QuantileTransformer(n_quantiles=200, output_distribution="normal", subsample=None)
    fill = FunctionTransformer(
        lambda x: np.hstack([np.nan_to_num(np.clip(x, -3, 3)), np.isnan(x)]), validate=False
    )
    return make_pipeline(normalise, fill, LogisticRegression(C=0.01, max_iter=500))


def encoded(columns: pd.DataFrame) -> np.ndarray:
    categorical = columns.select_dtypes("category").columns
    return pd.get_dummies(columns, columns=list(categorical), dtype=float).to_numpy(dtype=float)


def ginis(folder: Path) -> dict[str, float]:
    """Gini on the out-of-time vintages by model."""
    applications, table = features(folder)
    label, month = applications["label"].to_numpy(), applications["month"].to_numpy()
    held_out = np.isin(month, np.unique(month)[-calendar.OUT_OF_TIME_VINTAGES :])
    bank = table.filter(like="bank.")

    def gini(model, columns, where=slice(None)) -> float:
        model.fit(columns[~held_out], label[~held_out])
        score = model.predict_proba(columns[held_out])[:, 1]
        return 2 * roc_auc_score(label[held_out][where], score[where]) - 1

    first = (applications["first_time_borrower"] == "yes").to_numpy()[held_out]
    return {
        "rate": label.mean(),
        "bank": gini(trees(), bank),
        "pooled": gini(trees(), table),
        "bank, first-time": gini(trees(), bank, first),
        "pooled, first-time": gini(trees(), table, first),
        "pooled, smooth": gini(smooth(), encoded(table)),
    }


def five_seeds(world: str, root: Path) -> pd.Series:
    rows = []
    for seed in SEEDS:
        generate(root / f"{world}-{seed}", 20_000, world, seed, truth=False)
        rows.append(ginis(root / f"{world}-{seed}"))
    return pd.DataFrame(rows).mean()


def test_partners_add_what_the_bank_lacks(tmp_path: Path) -> None:
    mean = five_seeds("base", tmp_path)
    assert 0.04 <= mean["rate"] <= 0.05
    assert 0.45 <= mean["bank"] <= 0.56
    assert 0.60 <= mean["pooled"] <= 0.68
    assert mean["pooled, first-time"] - mean["bank, first-time"] > mean["pooled"] - mean["bank"]
    assert mean["pooled, smooth"] - mean["bank"] > 0.85 * (mean["pooled"] - mean["bank"])


def test_partners_without_signal_add_nothing(tmp_path: Path) -> None:
    mean = five_seeds("no-partner-signal", tmp_path)
    assert mean["pooled"] - mean["bank"] < 0.01
