"""A trained scorecard: what each party keeps of it, and how it scores."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.aligned import known_to_none
from clients.store import Store
from fl.arrays import check_integers, check_names
from fl.binning import Binning, Codes
from fl.calibration import Calibration
from fl.config.run import RunConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ProtocolError
from fl.explanation import ALL, BANK, Explanation, Feature, Text
from fl.records import Array
from fl.scorecard import Points
from fl.scorecard.bank import BankColumns, BankPoints
from fl.scorecard.card import MOST, Texts
from fl.scorecard.grouping import Evidence, Grouping
from fl.scorecard.points import NO_REASON, REASONS, PointsTable, Scale, codes_of, prefixes, worst
from fl.tables import Table

ANSWERS_ALL = True
"""A scorecard has points for businesses that no passive party knows; see `clients/scoring.py`."""


@dataclass(frozen=True, kw_only=True)
class Groupings:
    """What the bank keeps of the groups of all columns.

    bank         its name
    columns      its own columns
    information  float64 (c,): the information value of every column of its table
    passive      what it knows of the columns of every passive party
    """

    bank: str
    columns: BankColumns
    information: NDArray[np.float64]
    passive: Mapping[str, Evidence]

    @property
    def fitting(self) -> dict[str, Evidence]:
        """The evidence of those passive parties that have a column worth its place."""
        return {name: evidence for name, evidence in self.passive.items() if len(evidence.grouping.columns)}

    def of_rows(self, codes: Codes, coverage: Mapping[str, NDArray[np.bool_]]) -> Codes:
        """The groups (n, k) of rows in the bank's columns, from their bins (n, c) and who knows them, bool (n,)."""
        check_names("coverage", coverage, self.passive)
        return self.columns.transform(codes, coverage)


@dataclass(frozen=True, kw_only=True)
class BankWeights:
    """The weights of the bank's columns when training has ended, float64 (1 + width,), the intercept first.

    joint are those beside the passive parties' weights, alone those for businesses that no passive party knows.
    """

    joint: NDArray[np.float64]
    alone: NDArray[np.float64]

    def points(self, columns: BankColumns, config: RunConfig) -> BankPoints:
        """The bank's points."""
        return BankPoints.of(columns, self.joint, self.alone, Scale.of(config.section(ScorecardConfig)))


@dataclass(frozen=True, kw_only=True)
class BankModel:
    """What the bank keeps of a trained scorecard.

    calibration maps the log odds that the points stand for to those of the PD. codes are all reason codes, text (r,);
    texts and texts_zh are what a customer is told by them. best int64 (r,) are the most points that each column gives,
    and means float64 (2, r) those of the average business: of training rows that the column's party knows, and by the
    points for businesses that no passive party knows.
    """

    weights: BankWeights
    calibration: Calibration
    codes: Texts
    texts: Texts
    texts_zh: Texts
    best: NDArray[np.int64]
    means: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PassiveModel:
    """What a passive party keeps of a trained scorecard: groups, their points, and their weights (all groups,)."""

    grouping: Grouping
    table: PointsTable
    weights: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """What the bank keeps for its own people of every position.

    scores   int64 (n,)
    base     int64 (n,): the points that everybody has to begin with; the rest of a score are
    points   int64 (n,) by party
    reasons  text (n, 4): reason codes, worst first, empty for none
    lost     int32 (n, 4): points lost there
    """

    scores: NDArray[np.int64]
    base: NDArray[np.int64]
    points: Mapping[str, NDArray[np.int64]]
    reasons: Texts
    lost: NDArray[np.int32]

    @classmethod
    def of(cls, base: NDArray[np.int64], parties: Mapping[str, Points]) -> "ScoredRows":
        """From what each party says of the rows, the bank first, and their base points (n,)."""
        points = {party: told.points.astype(np.int64) for party, told in parties.items()}
        told_by_prefix = zip(prefixes(list(parties)), parties.values(), strict=True)
        reasons, lost = worst(
            [(codes_of(prefix, told.reasons), told.lost) for prefix, told in told_by_prefix]
        )
        scores = base + np.sum(list(points.values()), axis=0)
        return cls(scores=scores, base=base, points=points, reasons=reasons, lost=lost)


def is_trained(model: Store) -> bool:
    """Whether a store holds a party's part of a trained scorecard."""
    return model.has(BankModel) or model.has(PassiveModel)


def contribution(model: Store, table: Table, config: RunConfig) -> Points:
    """What a passive party adds to the score of the rows of a table; no points if it has no column worth its place."""
    kept = model.read(PassiveModel)
    return _points_of(kept.table, kept.grouping.transform(model.read(Binning).transform(table)))


def log_odds(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Points],
    config: RunConfig,
) -> NDArray[np.float64]:
    """At the bank: the log odds of default (n,) of the rows of a table, with every passive party's `contribution`."""
    scale, bank = Scale.of(config.section(ScorecardConfig)), model.read(BankModel)
    rows = score_rows(model, bank.weights, table, coverage, contributions, config)
    return bank.calibration.log_odds(scale.log_odds(rows.scores))


def answers(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Points],
    config: RunConfig,
) -> dict[str, Array]:
    """At the bank: the score (n,) in points."""
    bank = model.read(BankModel)
    return {"score": score_rows(model, bank.weights, table, coverage, contributions, config).scores}


def explain(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Points],
    config: RunConfig,
) -> Explanation:
    """At the bank: how the log odds of the rows of a table come about, by points against those of the average business.

    A passive party has said of a row how many points it has in all, and in which four columns it loses most. Its other
    columns are one feature (`ALL`); where it has named fewer, they all have their most points.
    """
    bank, groupings = model.read(BankModel), model.read(Groupings)
    groups = groupings.of_rows(model.read(Binning).transform(table), coverage)
    points, alone = bank.weights.points(groupings.columns, config), known_to_none(coverage, len(table))
    numbers, of_table = points.table.columns, len(groupings.columns.grouping.shape)
    means = bank.means[:, : len(numbers)]
    joint = points.table.of_columns(groups) - means[0], points.alone_table.of_columns(groups) - means[1]
    differences = np.where(alone[:, None], joint[1], joint[0])
    by_feature = {
        Feature(BANK, int(number)): column
        for number, column in zip(numbers, differences.T, strict=True)
        if number < of_table
    }
    base = np.where(
        alone,
        points.alone_base + means[1, numbers < of_table].sum(),
        points.base + means[0, numbers < of_table].sum(),
    )
    first = len(numbers)
    for place, (party, known) in enumerate(coverage.items()):
        record = Feature(BANK, of_table + place)
        of_known, of_unknown = points.of_coverage(record.column, alone)
        total = np.zeros(len(table))
        if party in groupings.fitting:
            columns = groupings.fitting[party].grouping.columns
            of_party = slice(first, first + len(columns))
            first += len(columns)
            mean = bank.means[0, of_party]
            told = _against_mean(contributions[party], columns, bank.best[of_party], mean, known)
            total = known * (contributions[party].points - mean.sum())
            of_known = of_known + np.where(alone, 0.0, mean.sum())
            by_feature |= {
                Feature(party, int(number)): column for number, column in zip(columns, told.T, strict=True)
            }
            by_feature[Feature(party, ALL)] = total - told.sum(axis=1)
        base = base + of_known
        by_feature[record] = np.where(known, 0.0, of_unknown - of_known)
    scale = Scale.of(config.section(ScorecardConfig))
    features = [*(Feature(BANK, int(number)) for number in numbers)]
    for party, evidence in groupings.fitting.items():
        features += [Feature(party, int(number)) for number in evidence.grouping.columns]
    texts = zip(features, bank.texts.tolist(), bank.texts_zh.tolist(), strict=True)
    explanation = Explanation(
        scale.log_odds(base),
        {feature: -values / scale.factor for feature, values in by_feature.items()},
        {feature: Text(english, chinese) for feature, english, chinese in texts if feature.party != BANK},
    )
    return explanation.calibrated(bank.calibration)


def _against_mean(
    told: Points,
    columns: NDArray[np.int64],
    best: NDArray[np.int64],
    mean: NDArray[np.float64],
    known: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """How many points more than the mean rows have in each column of a passive party, (n, k); 0 where it is unknown."""
    complete = known & (told.reasons == NO_REASON).any(axis=1)
    against = np.where(complete[:, None], best - mean, 0.0)
    for number, lost in zip(told.reasons.T, told.lost.T, strict=True):
        listed = number[:, None] == columns
        against = np.where(listed, best - lost[:, None] - mean, against)
    return against


def score_rows(
    model: Store,
    weights: BankWeights,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Points],
    config: RunConfig,
) -> ScoredRows:
    """At the bank: what it and the passive parties say of the rows of a table.

    Raises ProtocolError for contributions that cannot be.
    """
    groupings, unknown = model.read(Groupings), known_to_none(coverage, len(table))
    groups = groupings.of_rows(model.read(Binning).transform(table), coverage)
    points = weights.points(groupings.columns, config)
    joint, alone = (vars(_points_of(each, groups)) for each in (points.table, points.alone_table))
    of_bank = {
        name: np.where(unknown.reshape(-1, *(1,) * (joint[name].ndim - 1)), alone[name], joint[name])
        for name in joint
    }
    # A party without a column worth its place may have been asked, too, and has nothing to say.
    check_names("points", [name for name in contributions if name in groupings.fitting], groupings.fitting)
    told = {groupings.bank: Points(**of_bank)}
    for party, evidence in groupings.fitting.items():
        _check_points(party, contributions[party], evidence.grouping, coverage[party])
        told[party] = contributions[party]
    return ScoredRows.of(points.bases(unknown), told)


def _points_of(table: PointsTable, groups: Codes) -> Points:
    """What a party says of rows in groups (n, k)."""
    reasons, lost = table.reasons(groups)
    return Points(points=table.totals(groups).astype(np.int32), reasons=reasons, lost=lost)


def _check_points(party: str, told: Points, grouping: Grouping, known: NDArray[np.bool_]) -> None:
    """Raises ProtocolError unless a passive party may say this of rows, of which it knows some, bool (n,)."""
    reach = MOST * len(grouping.columns)
    check_integers(f"points of {party}", told.points, len(known), -reach, reach)
    ranges = {"reasons": (told.reasons, NO_REASON, len(grouping.shape)), "lost": (told.lost, 0, 2 * MOST)}
    for name, (array, low, high) in ranges.items():
        if array.shape != (len(known), REASONS):
            raise ProtocolError(f"{name} of {party} must be {(len(known), REASONS)}, not {array.shape}")
        check_integers(f"{name} of {party}", array.ravel(), None, low, high)
    if told.points[~known].any() or told.lost[~known].any() or (told.reasons[~known] != NO_REASON).any():
        raise ProtocolError(f"{party} must not give points or reasons to rows that it does not know")
