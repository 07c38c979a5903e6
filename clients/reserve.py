"""The bank's half of the reserve model; see `fl/reserve.py`.

It is grown in this process without a message, calibrated, and kept in the study in the form of a federated forest
without passive parties.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clients.aligned import known_to_none, read_table
from clients.binned import set_up
from clients.forests import bank_model, explain, log_odds, training_data
from clients.scores import Scores
from clients.session import Session
from clients.store import Store
from fl.boosting.growing import Grower
from fl.config.boosting import BoostingConfig
from fl.config.run import RunConfig
from fl.explanation import Explanation, weighted_mean
from fl.reserve import RESERVE, Trained, TrainRequest
from fl.tables import Table


def reserve_model(study: Store, seed: int) -> Store:
    """Where a study keeps the reserve model of a seed."""
    return Store(study.folder / RESERVE / str(seed))


def reserve_log_odds(study: Store, seed: int, table: Table, config: RunConfig) -> NDArray[np.float64]:
    """The log odds of default (n,) by a study's reserve model, of the rows of the bank's table."""
    return log_odds(reserve_model(study, seed), table, {}, {}, config)


def with_reserve(
    study: Store,
    seed: int,
    log_odds: NDArray[np.float64],
    coverage: Mapping[str, NDArray[np.bool_]],
    table: Table,
    config: RunConfig,
) -> NDArray[np.float64]:
    """A federated model's log odds (n,), but the mean of its and the reserve model's for whom no passive party knows.

    Both have only the bank's columns to go by for such a business; they err differently.
    """
    unknown = np.flatnonzero(known_to_none(coverage, len(table)))
    if not len(unknown):
        return log_odds
    mean = log_odds.copy()
    mean[unknown] = (log_odds[unknown] + reserve_log_odds(study, seed, table.take(unknown), config)) / 2
    return mean


def explain_with_reserve(
    study: Store,
    seed: int,
    explanation: Explanation,
    coverage: Mapping[str, NDArray[np.bool_]],
    table: Table,
    config: RunConfig,
) -> Explanation:
    """Explains the log odds of `with_reserve`, from the explanation of those of the federated model."""
    unknown = known_to_none(coverage, len(table))
    if not unknown.any():
        return explanation
    rows = np.flatnonzero(unknown)
    reserve = explain_reserve(study, seed, table.take(rows), config).at(rows, len(table))
    return weighted_mean([explanation, reserve], [np.where(unknown, 0.5, 1.0), np.where(unknown, 0.5, 0.0)])


def explain_reserve(study: Store, seed: int, table: Table, config: RunConfig) -> Explanation:
    """Explains the log odds of `reserve_log_odds`."""
    return explain(reserve_model(study, seed), table, {}, {}, config)


def train(session: Session, request: TrainRequest) -> Trained:
    """Grow the forest on the bank's columns, and keep it with the score of every position."""
    config = session.config.section(BoostingConfig)
    set_up(session, request.seed, request.split, config.bins, config.min_bin_count)
    grower, _ = Grower.begin(training_data(session), config)
    curve: list[dict[str, float]] = []
    resolved = grower.resolve({})
    while not resolved.ended:
        grower.advance()
        resolved = grower.resolve({})
        if resolved.fit is not None:
            curve.append(resolved.fit.metrics)
    session.store.keep(bank_model(grower))
    scores = log_odds(session.store, read_table(session.study), {}, {}, session.config)
    session.store.keep(Scores(scores))
    return Trained({name: np.array([look[name] for look in curve]) for name in curve[0]})
