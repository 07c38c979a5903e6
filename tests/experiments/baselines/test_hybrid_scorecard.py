"""The pooled scorecard of several banks and passive parties is a stock logistic regression, in points."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from experiments.baselines.hybrid_scorecard import fit_scorecard, train
from fl.banks.grid import Schema
from fl.banks.program import Rows
from fl.config.scorecard import ScorecardConfig
from fl.splits import TRAIN
from fl.tables import Table

SCHEMA = Schema(("inflow",), (), (), ((),))
FINE = {"exchanges": 60, "tolerance": 1e-7, "settled": 0.0, "pdo": 1e6}
EXACT = ScorecardConfig(bins=10, min_group=1, max_p=1.0, monotone=False, calibrate=False, **FINE)


def numeric(name: str, values: np.ndarray, known: np.ndarray) -> Table:
    table = np.where(known, values, np.nan)[:, None]
    return Table(table, (name,), np.empty((len(values), 0), np.int32), (), (), known)


@pytest.fixture
def banks() -> tuple[list[Rows], list[dict[str, Table]]]:
    """Three banks of unequal size; one passive party knows most firms, and one knows all of them."""
    rng, rows, partners = np.random.default_rng(3), [], []
    for bank, count in zip("abc", (900, 300, 150), strict=True):
        columns, known = rng.integers(0, 4, (3, count)).astype(float), rng.random(count) < 0.8
        risk = columns[0] - 0.8 * columns[1] * known + 0.5 * columns[2] - 2
        rows.append(
            Rows(
                name=f"bank_{bank}",
                table=numeric("inflow", columns[0], np.ones(count, bool)),
                labels=(rng.random(count) < expit(risk)).astype(np.int8),
                roles=rng.choice(np.array([0, 0, 0, 1, 2], np.int8), count),
                signs={},
                segments={},
            )
        )
        partners.append(
            {
                "platform": numeric("days", columns[1], known),
                "tax": numeric("sales", columns[2], np.ones(count, bool)),
            }
        )
    return rows, partners


def test_the_log_odds_are_those_of_a_stock_logistic_regression(banks: tuple) -> None:
    rows, partners = banks
    scorecard = fit_scorecard(rows, partners, {"platform": {}, "tax": {}}, SCHEMA, EXACT)
    roles, labels = (np.concatenate([getattr(one, name) for one in rows]) for name in ("roles", "labels"))
    tables = [Table.stacked([one.table for one in rows])]
    tables += [Table.stacked([of[name] for of in partners]) for name in partners[0]]
    values = np.column_stack([np.where(table.known, table.numeric[:, 0], -1) for table in tables])
    # The banks' column of who is known to the platform has two groups: those that are not are one of the encoder's.
    design = np.column_stack([OneHotEncoder(sparse_output=False).fit_transform(values), tables[1].known])
    stock = LogisticRegression(C=EXACT.c, tol=1e-10, max_iter=10_000)
    stock.fit(design[roles == TRAIN], labels[roles == TRAIN])
    np.testing.assert_allclose(scorecard.log_odds, stock.decision_function(design), atol=2e-3)


def test_order_of_banks_does_not_matter(banks: tuple) -> None:
    rows, partners = banks
    told = {"platform": {}, "tax": {}}, SCHEMA, 1, ScorecardConfig(bins=4, max_p=1.0)
    one, other = train(rows, partners, *told), train(rows[::-1], partners[::-1], *told)
    ends = np.cumsum([len(each) for each in rows[::-1]])[:-1]
    np.testing.assert_array_equal(one.log_odds, np.concatenate(np.split(other.log_odds, ends)[::-1]))
    assert one.curve == other.curve
