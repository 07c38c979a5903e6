"""A scorecard at work: the points and reasons that a passive party gives, and what the bank makes of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from fl.nesting import of_party
from numpy.typing import NDArray

from clients.aligned import known_to_none
from clients.binned import read_binning
from clients.scorecard.shares import demanded
from clients.store import Store
from fl.arrays import check_integers, check_names
from fl.binning import Codes, Shape
from fl.calibration import Calibration
from fl.config.run import RunConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ProtocolError
from fl.scorecard import Array, Points
from fl.scorecard.bank import BankColumns, BankPoints
from fl.scorecard.card import MOST, Texts
from fl.scorecard.grouping import Grouping
from fl.scorecard.points import NO_REASON, REASONS, PointsTable, Scale, codes_of, prefixes, worst
from fl.tables import Table

ANSWERS_ALL = True
"""A scorecard has points for businesses that no passive party knows; see `clients/scoring.py`."""

SCORECARD = "scorecard"
"""Name in the bank's store: of every position its score (n,) and what it is made of, base (n,) and points (n, p) of
the parties (p,); reasons text (n, 4) of codes, lost (n, 4); and code, text and text_zh of all reasons."""

MODEL, GROUPS, PARTIES, EVIDENCE = "model", "groups", "parties", "evidence"
"""Names in the stores: a party's points or the bank's weights; a passive party's groups; at the bank the passive
parties with the shapes of their columns, and the groups of all columns."""


@dataclass(frozen=True)
class BankModel:
    """What the bank keeps of a scorecard: its weights (1 + width,), the intercept first, and the calibration.

    alone are the weights for businesses that no passive party knows.
    """

    weights: NDArray[np.float64]
    alone: NDArray[np.float64]
    calibration: Calibration

    def write(self, model: Store) -> None:
        """Keep it as the model."""
        numbers = {name: np.array(value) for name, value in vars(self.calibration).items()}
        model.write(MODEL, {"weights": self.weights, "alone": self.alone, **numbers})

    @classmethod
    def read(cls, model: Store) -> Self:
        """What `write` kept. Raises FileNotFoundError."""
        kept = model.read(MODEL)
        return cls(
            kept["weights"], kept["alone"], Calibration(float(kept["slope"]), float(kept["intercept"]))
        )


@dataclass(frozen=True)
class Totals:
    """What all parties say of rows, the bank first, and the base points (n,) that rows have to begin with."""

    base: NDArray[np.int64]
    parties: list[Points]

    @property
    def scores(self) -> NDArray[np.int64]:
        """The score (n,) of every row: what the parties' points add up to."""
        return np.asarray(self.points.sum(axis=1) + self.base, np.int64)

    @property
    def points(self) -> NDArray[np.int64]:
        """The points (n, p) of every row by party."""
        return np.stack([party.points for party in self.parties], axis=1).astype(np.int64)

    def reasons(self, names: Sequence[str]) -> tuple[Texts, NDArray[np.int32]]:
        """Codes (n, 4) in falling order of points lost, empty for none, and the points (n, 4); names of the parties."""
        heads = prefixes(names)
        return worst([(codes_of(h, p.reasons), p.lost) for h, p in zip(heads, self.parties, strict=True)])


def contribution(model: Store, table: Table, config: RunConfig) -> dict[str, Array]:
    """What a passive party adds to the score of the rows of a table: `Points`, none where it has no column of worth."""
    kept, binning = model.read(MODEL), read_binning(model)
    grouping = Grouping(demanded(binning.shape, config.scorecard), model.read(GROUPS)["groups"])
    groups = grouping.transform(binning.transform(table))
    return dict(vars(points_of(PointsTable(kept["columns"], kept["counts"], kept["points"]), groups)))


def log_odds(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Mapping[str, Array]],
    config: RunConfig,
) -> NDArray[np.float64]:
    """At the bank: the log odds of default of the rows of a table, (n,), with every passive party's `contribution`."""
    found = BankModel.read(model)
    totals = total(
        model, bank_points(model, found, config.scorecard), table, coverage, contributions, config.scorecard
    )
    return found.calibration.log_odds(Scale.of(config.scorecard).log_odds(totals.scores))


def answers(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Mapping[str, Array]],
    config: RunConfig,
) -> dict[str, Array]:
    """At the bank: the score (n,) in points, and up to four reasons, worst first.

    Of each its code, the points lost, and what the customer is told; the texts empty and 0 points where there is none.
    """
    kept = model.read(SCORECARD)
    points = bank_points(model, BankModel.read(model), config.scorecard)
    totals = total(model, points, table, coverage, contributions, config.scorecard)
    codes, lost = totals.reasons(kept["parties"].tolist())
    columns: dict[str, Array] = {"score": totals.scores}
    english, chinese = (dict(zip(kept["code"], kept[name], strict=True)) for name in ("text", "text_zh"))
    for number in range(REASONS):
        own = codes[:, number]
        columns[f"reason_{number + 1}"] = own
        columns[f"lost_{number + 1}"] = lost[:, number]
        columns[f"text_{number + 1}"] = np.array([english.get(code, "") for code in own], np.str_)
        columns[f"text_zh_{number + 1}"] = np.array([chinese.get(code, "") for code in own], np.str_)
    return columns


def total(
    model: Store,
    points: BankPoints,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Mapping[str, Array]],
    config: ScorecardConfig,
) -> Totals:
    """At the bank: what it and the parties say of the rows of a table; ProtocolError if that cannot be."""
    groups, unknown = bank_groups(model, table, coverage, config), known_to_none(coverage, len(table))
    said = (vars(points_of(own, groups)).values() for own in (points.table, points.alone_table))
    chosen = (
        np.where(unknown.reshape(-1, *(1,) * (joint.ndim - 1)), alone, joint)
        for joint, alone in zip(*said, strict=True)
    )
    parties = [Points(*chosen)]
    groupings = fitting(model, config)
    # A party none of whose columns is worth its place may have been asked, too, and has nothing to say.
    check_names("points", [name for name in contributions if name in groupings], groupings)
    for name, grouping in groupings.items():
        parties.append(_checked(name, contributions[name], grouping, coverage[name]))
    return Totals(points.bases(unknown), parties)


def bank_points(model: Store, found: BankModel, config: ScorecardConfig) -> BankPoints:
    """The bank's own points."""
    return BankPoints.of(bank_columns(model, config), found.weights, found.alone, Scale.of(config))


def bank_groups(
    model: Store, table: Table, coverage: Mapping[str, NDArray[np.bool_]], config: ScorecardConfig
) -> Codes:
    """The groups (n, k) of the rows of a table in the bank's columns."""
    names = party_names(model)
    check_names("coverage", coverage, names)
    known = [coverage[name] for name in names]
    return bank_columns(model, config).transform(read_binning(model).transform(table), known)


def points_of(table: PointsTable, groups: Codes) -> Points:
    """What a party says of rows in groups (n, k)."""
    return Points(table.totals(groups).astype(np.int32), *table.reasons(groups))


def party_names(model: Store) -> list[str]:
    """At the bank: all passive parties, in order."""
    return [str(name) for name in model.read(PARTIES)["names"]]


def bank_columns(model: Store, config: ScorecardConfig) -> BankColumns:
    """At the bank: its own columns."""
    evidence = model.read(EVIDENCE)
    shape = demanded(read_binning(model).shape, config)
    return BankColumns(Grouping(shape, evidence["0/groups"]), evidence["covered"])


def fitting(model: Store, config: ScorecardConfig) -> dict[str, Grouping]:
    """At the bank: the groups of the passive parties that have a column worth its place."""
    kept, evidence, found = model.read(PARTIES), model.read(EVIDENCE), {}
    for number, name in enumerate(kept["names"]):
        shape = demanded(Shape.from_arrays(of_party(kept, number)), config)
        grouping = Grouping(shape, evidence[f"{number + 1}/groups"])
        if len(grouping.columns):
            found[str(name)] = grouping
    return found


def _checked(party: str, rows: Mapping[str, Array], grouping: Grouping, known: NDArray[np.bool_]) -> Points:
    """What a passive party says of rows, of which it knows some (n,)."""
    count = len(known)
    check_names(f"rows of {party}", rows, ("points", "reasons", "lost"))
    reach = MOST * len(grouping.columns)
    check_integers(f"points of {party}", rows["points"], count, -reach, reach)
    for name, low, high in (("reasons", NO_REASON, len(grouping.shape)), ("lost", 0, 2 * MOST)):
        if rows[name].shape != (count, REASONS):
            raise ProtocolError(f"{name} of {party} must be {(count, REASONS)}, not {rows[name].shape}")
        check_integers(f"{name} of {party}", rows[name].ravel(), None, low, high)
    if (
        rows["points"][~known].any()
        or rows["lost"][~known].any()
        or (rows["reasons"][~known] != NO_REASON).any()
    ):
        raise ProtocolError(f"{party} must not give points or reasons to rows that it does not know")
    return Points(**rows)
