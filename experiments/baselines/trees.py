"""The strongest tabular model of a stock library: scikit-learn's histogram gradient boosting."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from fl.splits import TRAIN, VALIDATION, Roles

_MAXIMUM_LEVELS = 255  # of a categorical column in scikit-learn


def train_trees(
    frame: pd.DataFrame, labels: NDArray[np.int8], roles: Roles, seed: int
) -> tuple[NDArray[np.float64], list[dict[str, float]]]:
    """Train on the training rows, stop on the validation rows: PDs (n,) of all, and the validation curve.

    frame has numeric columns and pandas categories; missing values are the model's own business. Scikit-learn fails
    on two kinds of column: one without any value in training rows is left out, and of one with more levels than it
    takes, those that are rare among the training rows count as missing.
    """
    train, validation = roles == TRAIN, roles == VALIDATION
    there = [name for name in frame if frame.loc[train, name].notna().any()]
    frame = pd.DataFrame({name: _few_levels(frame[name], train) for name in there})
    model = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=500,
        max_leaf_nodes=15,
        min_samples_leaf=40,
        l2_regularization=10.0,
        max_features=0.5,
        early_stopping=True,
        n_iter_no_change=30,
        random_state=seed,
    )
    model.fit(frame[train], labels[train], X_val=frame[validation], y_val=labels[validation])
    curve = [{"valid.loss": -float(score)} for score in model.validation_score_[1:]]
    return model.predict_proba(frame)[:, 1], curve


def _few_levels(column: pd.Series, train: NDArray[np.bool_]) -> pd.Series:
    if not isinstance(column.dtype, pd.CategoricalDtype) or len(column.cat.categories) <= _MAXIMUM_LEVELS:
        return column
    return column.cat.set_categories(column[train].value_counts().index[:_MAXIMUM_LEVELS].tolist())
