"""A trained forest at work: what each party keeps of it, what a passive one tells, and what the bank makes of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications
from clients.binned import read_setup
from clients.randomness import goss_generator
from clients.session import Session
from clients.store import Store
from fl.arrays import check_bytes, check_names
from fl.binning import Binning
from fl.boosting import Outcomes, Reasons, packed, unpacked
from fl.boosting.contributions import contributions as contributions_of
from fl.boosting.forest import Forest, Splits
from fl.boosting.gradients import base_score, reweighing
from fl.boosting.growing import Grower
from fl.boosting.growth import Data, Passive
from fl.calibration import Calibration
from fl.config.boosting import BoostingConfig
from fl.config.run import RunConfig
from fl.explanation import BANK, Explanation, Feature, Text
from fl.tables import Table

ANSWERS_ALL = False
"""The reserve model has a say on businesses that no passive party knows; see `clients/scoring.py`."""


@dataclass(frozen=True, kw_only=True)
class BankModel:
    """What the bank keeps of a forest: the trees, its own splits, how many splits it and each passive party has.

    scores (n,) are those of the rows that train or validate, before calibration.
    """

    forest: Forest
    splits: Splits
    kept: NDArray[np.int64]
    base: float
    calibration: Calibration
    scores: NDArray[np.float64]


def training_data(session: Session, passive: Sequence[Passive] = ()) -> Data:
    """What the bank's forests are grown on, once its columns are binned (`clients.binned.set_up`)."""
    setup, applications = read_setup(session), read_applications(session.study)
    labels = applications.labels[setup.positions]
    reweigh = session.config.section(BoostingConfig).reweigh
    # Only if they are needed: texts take time to copy, and this is done at every message.
    segments = {name: levels[setup.positions] for name, levels in applications.segments.items() if reweigh}
    return Data(
        name=session.declaration.name,
        labels=labels,
        training=setup.training,
        codes=setup.codes,
        shape=setup.binning.shape,
        passive=passive,
        seed=setup.seed,
        secret_generator=lambda number: goss_generator(labels[setup.training], setup.seed, number),
        base=base_score(labels[setup.training]),
        weights=reweighing(reweigh, segments, labels, setup.training),
    )


def bank_model(grower: Grower) -> BankModel:
    """The best forest that a grower has grown, calibrated on the validation rows."""
    best, data = grower.growth.best, grower.data
    forest = grower.growth.forest.first(grower.config.trees_after(best.rounds))
    kept = forest.split_counts(1 + len(data.passive))
    scores, labels = best.scores[~data.training], data.labels[~data.training]
    return BankModel(
        forest=forest,
        splits=grower.growth.splits.first(kept[0]),
        kept=np.array(kept, np.int64),
        base=data.base,
        calibration=Calibration.fit(scores, labels) if grower.config.calibrate else Calibration(),
        scores=best.scores,
    )


@dataclass(frozen=True)
class ToldReasons:
    """What the bank keeps of what passive parties have told of their columns, by party."""

    parties: Mapping[str, Reasons]


@dataclass(frozen=True)
class PassiveModel:
    """What a passive party keeps of a forest: its own splits."""

    splits: Splits


def is_trained(model: Store) -> bool:
    """Whether a store holds a party's part of a trained forest."""
    return model.has(BankModel) or model.has(PassiveModel)


def contribution(model: Store, table: Table, config: RunConfig) -> Outcomes:
    """What a passive party adds to the score of the rows of a table: where its splits send them."""
    splits, codes = model.read(PassiveModel).splits, model.read(Binning).transform(table)
    return Outcomes(packed(splits.outcomes(codes)))


def log_odds(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Outcomes],
    config: RunConfig,
) -> NDArray[np.float64]:
    """At the bank: the log odds of default of the rows of a table, (n,), with every passive party's `contribution`."""
    bank, outcomes = _outcomes(model, table, coverage, contributions)
    return bank.calibration.log_odds(bank.forest.score(bank.base, outcomes, len(table)))


def explain(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Outcomes],
    config: RunConfig,
) -> Explanation:
    """At the bank: how the log odds of the rows of a table come about, by `fl/boosting/contributions.py`.

    What a party's columns add for a business that the party does not know is added by that fact alone.
    """
    bank, outcomes = _outcomes(model, table, coverage, contributions)
    base, by_column = contributions_of(bank.forest, bank.base, outcomes, len(table))
    owners, features = [BANK, *coverage], dict[Feature, NDArray[np.float64]]()
    for (owner, number), added in by_column.items():
        if owner == 0:
            features[Feature(BANK, number)] = added
            continue
        party, record = owners[owner], Feature(BANK, len(table.names) + owner - 1)
        features[Feature(party, number)] = np.where(coverage[party], added, 0.0)
        features[record] = features.get(record, 0.0) + np.where(coverage[party], 0.0, added)
    told = model.read(ToldReasons).parties if model.has(ToldReasons) else {}
    texts = {
        feature: Text(
            str(told[feature.party].texts[feature.column]), str(told[feature.party].texts_zh[feature.column])
        )
        for feature in features
        if feature.party in told
    }
    return Explanation(np.full(len(table), base), features, texts).calibrated(bank.calibration)


def _outcomes(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Outcomes],
) -> tuple[BankModel, list[NDArray[np.bool_]]]:
    """The bank's model, and the outcomes (s, n) of its splits and of those of each passive party."""
    bank, rows = model.read(BankModel), len(table)
    check_names("outcomes", contributions, coverage)
    outcomes = [bank.splits.outcomes(model.read(Binning).transform(table))]
    for party, count in zip(coverage, bank.kept[1:], strict=True):
        bits = contributions[party].outcomes
        check_bytes(f"outcomes of {party}", bits, (int(count), -(-rows // 8)))
        outcomes.append(unpacked(bits, rows))
    return bank, outcomes


def answers(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Outcomes],
    config: RunConfig,
) -> dict[str, NDArray[np.str_]]:
    """Columns of the bank's answers beside score and PD: none."""
    return {}
