"""The scorecard on real data: near scikit-learn's optimum in few exchanges, and as good as it is known to be."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from experiments.baselines.scorecard import fit_scorecard, group_columns
from fl.config.scorecard import ScorecardConfig
from fl.splits import TRAIN


@pytest.mark.external_data
@pytest.mark.slow
def test_coefficients_and_quality_on_real_data(default_credit: tuple, join: Callable) -> None:
    frames, labels, roles = default_credit
    config = ScorecardConfig(c=1.0, max_p=1.0, tolerance=1e-4, settled=0.0)
    joined = join(frames, labels, ("bank", "partner"))
    card = fit_scorecard(joined, roles, config)

    train, test, blocks = roles == TRAIN, roles == 2, []
    for party in ("bank", "partner"):
        grouped = group_columns(joined, party, train, config)
        groups = grouped.evidence.grouping.transform(grouped.codes)
        counts = grouped.evidence.grouping.counts
        blocks += [np.eye(count)[own] for own, count in zip(groups.T, counts, strict=True)]
    rows = np.concatenate(blocks, axis=1)
    reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(rows[train], labels[train])
    found = np.concatenate([card.weights["bank"][1:], card.weights["partner"]])
    np.testing.assert_allclose(found, reference.coef_[0], atol=1e-4)
    assert len(card.progress) <= 30
    assert roc_auc_score(labels[test], card.log_odds[test]) > 0.765
