"""What each column of a scorecard adds to the log odds: its points against those of the average business.

Of a row, a passive party says how many points it has in all, and in which four columns it loses most. Where it names
fewer, all other columns have their most points. Else its other columns are one feature (`ALL`).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clients.aligned import known_to_none
from clients.scorecard.model import BankModel, Groupings
from clients.store import Store
from fl.binning import Binning
from fl.config.run import RunConfig
from fl.config.scorecard import ScorecardConfig
from fl.explanation import ALL, BANK, Explanation, Feature, Floats, Text
from fl.scorecard import Points
from fl.scorecard.points import NO_REASON, Scale
from fl.tables import Table


def explain(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Points],
    config: RunConfig,
) -> Explanation:
    """At the bank: how the log odds of the rows of a table come about, with every passive party's `contribution`."""
    bank, groupings = model.read(BankModel), model.read(Groupings)
    points, alone = bank.weights.points(groupings.columns, config), known_to_none(coverage, len(table))
    groups = groupings.of_rows(model.read(Binning).transform(table), coverage)
    features, of_table = groupings.features, len(groupings.columns.grouping.shape)
    mean, mean_alone = (dict(zip(features, values, strict=True)) for values in bank.means)
    best = dict(zip(features, bank.best, strict=True))
    base, above = points.bases(alone).astype(np.float64), dict[Feature, Floats]()
    joint, by_itself = (each.of_columns(groups) for each in (points.table, points.alone_table))
    for place, number in enumerate(points.table.columns.tolist()):
        if number < of_table:
            feature = Feature(BANK, number)
            average = np.where(alone, mean_alone[feature], mean[feature])
            base += average
            above[feature] = np.where(alone, by_itself[:, place], joint[:, place]) - average
    for number, (party, known) in enumerate(coverage.items(), start=of_table):
        # The average business is one that the party knows; what another one has instead is due to that.
        average, instead = points.of_coverage(number, alone)
        if party in groupings.fitting:
            columns = [feature for feature in features if feature.party == party]
            means = np.array([mean[feature] for feature in columns])
            most = np.array([best[feature] for feature in columns])
            added = _above_mean(contributions[party], columns, means, most)
            average = average + np.where(alone, 0.0, means.sum())
            above |= {
                feature: np.where(known, values, 0.0)
                for feature, values in zip([*columns, Feature(party, ALL)], added.T, strict=True)
            }
        base += average
        above[Feature(BANK, number)] = np.where(known, 0.0, instead - average)
    scale = Scale.of(config.section(ScorecardConfig))
    texts = zip(bank.texts.tolist(), bank.texts_zh.tolist(), strict=True)
    return Explanation(
        scale.log_odds(base),
        {feature: -values / scale.factor for feature, values in above.items()},
        {
            feature: Text(*text)
            for feature, text in zip(features, texts, strict=True)
            if feature.party != BANK
        },
    ).calibrated(bank.calibration)


def _above_mean(told: Points, columns: list[Feature], means: Floats, most: NDArray[np.int64]) -> Floats:
    """How many points above the mean known rows have in each of a party's k columns, and in the rest, (n, k + 1)."""
    named_all = (told.reasons == NO_REASON).any(axis=1)
    above = np.where(named_all[:, None], most - means, 0.0)
    numbers = np.array([feature.column for feature in columns])
    for named, lost in zip(told.reasons.T, told.lost.T, strict=True):
        above = np.where(named[:, None] == numbers, most - lost[:, None] - means, above)
    rest = told.points - means.sum() - above.sum(axis=1)
    return np.column_stack([above, rest])
