"""The bank's own model beside every federated one: it answers when a party is absent, and together with the federated
model for businesses that no passive party knows.

It is boosting on the bank's columns alone, with the run's settings of boosting, grown in this process without a
message, calibrated, and kept in the study in the form of a federated forest without passive parties. It equals the
contender `bank-only-boosting`, bit for bit.
"""

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications
from clients.binned import begin_model
from clients.boosting.model import BankModel, log_odds
from clients.boosting.randomness import goss_generator
from clients.session import Session
from clients.store import Store
from fl.boosting.growing import Grower
from fl.boosting.growth import Data, Growth
from fl.calibration import Calibration
from fl.config import RunConfig
from fl.metrics import auc
from fl.tables import Table

FALLBACK = "bank-only-boosting"


def fallback_model(study: Store, seed: int) -> Store:
    """Where a study keeps the fallback of its models under a seed."""
    return Store(study.folder / FALLBACK / str(seed))


def fallback_log_odds(study: Store, seed: int, table: Table, config: RunConfig) -> NDArray[np.float64]:
    """The log odds of default (n,) by a study's fallback, of the rows of the bank's table."""
    return log_odds(fallback_model(study, seed), table, {}, {}, config)


def with_fallback(
    study: Store,
    seed: int,
    log_odds: NDArray[np.float64],
    unknown: NDArray[np.bool_],
    table: Table,
    config: RunConfig,
) -> NDArray[np.float64]:
    """A federated model's log odds (n,), but where `unknown` (n,) the mean of its own and the fallback's.

    Both have only the bank's columns to go by for a business that no passive party knows; they err differently.
    """
    if not unknown.any():
        return log_odds
    found = log_odds.copy()
    found[unknown] += fallback_log_odds(study, seed, table.take(np.flatnonzero(unknown)), config)
    found[unknown] /= 2
    return found


def train_fallback(session: Session, seed: int, roles: NDArray[np.int8]) -> None:
    """Train it under a seed, unless another contender of the study has done so already."""
    store, config = fallback_model(session.study, seed), session.config.boosting
    if store.has("model"):
        return
    setup = begin_model(session, store, seed, roles, config.bins, config.min_bin_count)
    labels, training = read_applications(session.study).labels[setup.positions], setup.training
    data = Data(
        session.party.declaration.name,
        labels,
        training,
        setup.codes,
        setup.binning.shape,
        [],
        seed,
        lambda tree: goss_generator(labels[training], seed, tree),
    )
    grower = Grower(data, config, Growth())
    grower.begin()
    best_auc, trees, scores = -1.0, 0, np.empty(0)
    while grower.growth.tree < config.trees and (
        not config.patience or grower.growth.tree - trees < config.patience
    ):
        grower.grow_alone()
        grower.resolve({})
        grower.settle()
        found = auc(labels[~training], grower.growth.scores[~training])
        if not config.patience or found > best_auc:
            best_auc, trees, scores = found, grower.growth.tree, grower.growth.scores
    forest = grower.growth.forest.first(trees)
    kept = forest.split_counts(1)
    calibration = Calibration()
    if config.calibrate:
        calibration = Calibration.fit(scores[~training], labels[~training])
    own = grower.growth.own.first(kept[0])
    BankModel(forest, own, np.array(kept, np.int64), grower.base, calibration, scores).write(store)
