"""The bank's half of the reserve model; see `fl/reserve.py`.

It is grown in this process without a message, calibrated, and kept in the study in the form of a federated forest
without passive parties.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clients.aligned import known_to_none, read_applications, read_table
from clients.binned import Setup, set_up
from clients.forests import BankModel, log_odds
from clients.randomness import goss_generator
from clients.scores import Scores
from clients.session import Session
from clients.store import Store
from fl.boosting.gradients import log_loss
from fl.boosting.growing import Grower
from fl.boosting.growth import Data, Growth
from fl.calibration import Calibration
from fl.config.boosting import BoostingConfig
from fl.config.run import RunConfig
from fl.metrics import auc
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


def train(session: Session, request: TrainRequest) -> Trained:
    """Grow the forest on the bank's columns, and keep it with the score of every position."""
    config = session.config.section(BoostingConfig)
    setup = set_up(session, request.seed, request.split, config.bins, config.min_bin_count)
    labels = read_applications(session.study).labels[setup.positions]
    model, curve = _grow(session.party.declaration.name, setup, labels, config)
    session.store.keep(model)
    table = read_table(session.study)
    session.store.keep(Scores(log_odds(session.store, table, {}, {}, session.config)))
    return Trained({name: np.array([look[name] for look in curve]) for name in curve[0]})


def _grow(
    bank: str, setup: Setup, labels: NDArray[np.int8], config: BoostingConfig
) -> tuple[BankModel, list[dict[str, float]]]:
    """The best forest by validation AUC, calibrated, and the metrics after every tree.

    labels (n,) are of the rows that train or validate.
    """
    training, seed = setup.training, setup.seed
    data = Data(
        name=bank,
        labels=labels,
        training=training,
        codes=setup.codes,
        shape=setup.binning.shape,
        passive=[],
        seed=seed,
        secret_generator=lambda tree: goss_generator(labels[training], seed, tree),
    )
    grower = Grower(data, config, Growth())
    grower.begin()
    curve: list[dict[str, float]] = []
    best_auc, trees, scores = -1.0, 0, np.empty(0)
    while grower.growth.tree < config.trees and (
        not config.patience or grower.growth.tree - trees < config.patience
    ):
        grower.grow_alone()
        grower.resolve({})
        grower.settle()
        curve.append(_look(grower.growth.scores, labels, training))
        if not config.patience or curve[-1]["valid.auc"] > best_auc:
            best_auc, trees, scores = curve[-1]["valid.auc"], grower.growth.tree, grower.growth.scores
    forest = grower.growth.forest.first(trees)
    kept = forest.split_counts(1)
    calibration = Calibration()
    if config.calibrate:
        calibration = Calibration.fit(scores[~training], labels[~training])
    model = BankModel(
        forest=forest,
        splits=grower.growth.own.first(kept[0]),
        kept=np.array(kept, np.int64),
        base=grower.base,
        calibration=calibration,
        scores=scores,
    )
    return model, curve


def _look(
    scores: NDArray[np.float64], labels: NDArray[np.int8], training: NDArray[np.bool_]
) -> dict[str, float]:
    """How good scores (n,) are on the rows that train, and on those that validate."""
    return {
        "train.loss": log_loss(scores[training], labels[training]),
        "valid.auc": auc(labels[~training], scores[~training]),
        "valid.loss": log_loss(scores[~training], labels[~training]),
    }
