"""A scorecard leaves the house: a party's own points, as JSON or as SQL, for systems that know nothing of this project.

Everything comes from the party's own store, so a passive party exports its own columns and nothing else. The bank's
export has its own columns, what everybody has to begin with, and who its passive parties are, whose points its SQL adds
up. Both forms say the same: the SQL is written from what the JSON holds (docs/concepts.md describes its fields).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from clients.aligned import Schema, read_table
from clients.banks import Model
from clients.data.column import Column
from clients.data.declaration import Declaration, read_declaration, schema_hash
from clients.scorecard.model import BankModel, Groupings, PassiveModel
from clients.store import Store
from fl.binning import Binning
from fl.errors import ConfigError
from fl.escaping import text_line
from fl.scorecard.bank import BankPoints
from fl.scorecard.grouping import Grouping
from fl.scorecard.points import PointsTable, Scale
from fl.studies import sub_study
from fl.tables import Table

FORMAT = "siloscore-scorecard/1"
"""The name and version of the JSON's form."""
CONTENDER = "federated-scorecard"


@dataclass(frozen=True)
class UpTo:
    """Numbers up to this one, and above those of the bin before, get these points."""

    up_to: float
    points: int


@dataclass(frozen=True)
class Special:
    """A special value, and its points."""

    value: float
    points: int


@dataclass(frozen=True)
class Level:
    """A level of a text, and its points."""

    value: str
    points: int


@dataclass(frozen=True, kw_only=True)
class NumericColumn:
    """Points of numbers: of a missing one, of special values, by rising bins, and of all above the last bin."""

    name: str
    kind: str = "numeric"
    missing: int
    special: tuple[Special, ...]
    bins: tuple[UpTo, ...]
    above: int


@dataclass(frozen=True, kw_only=True)
class CategoricalColumn:
    """Points of texts: of a missing one, of each level, and of any other text (`unseen`)."""

    name: str
    kind: str = "categorical"
    missing: int
    levels: tuple[Level, ...]
    unseen: int


@dataclass(frozen=True, kw_only=True)
class PartnerColumn:
    """At the bank: points of businesses that the passive party of this name knows, and of those that it does not."""

    name: str
    kind: str = "partner"
    known: int
    unknown: int


AnyColumn: TypeAlias = NumericColumn | CategoricalColumn | PartnerColumn


@dataclass(frozen=True, kw_only=True)
class Points:
    """Points are the sum of the base and those of every column."""

    base: int
    columns: tuple[AnyColumn, ...]


@dataclass(frozen=True, kw_only=True)
class Score:
    """At the bank: from points to a score, and from a score to a PD.

    A score is the sum of the points of the bank and of each of the partners; a partner that does not know a business
    gives it none. alone are the points of the bank, and so the score, of a business that no partner knows. The log odds
    of default are intercept + slope · (offset − score) / factor.
    """

    partners: tuple[str, ...]
    alone: Points
    offset: float
    factor: float
    slope: float
    intercept: float


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """A party's part of a scorecard; id is the name of its id column, and score is there at the bank only."""

    format: str = FORMAT
    run: str
    party: str
    id: str
    points: Points
    score: Score | None = None


def export_scorecard(folder: Path, state: Path, run: str) -> Scorecard:
    """What the party with this data folder keeps of a scorecard; state is the folder of its studies.

    run is STUDY/CONTENDER or STUDY/CONTENDER/SEED. Raises ConfigError if there is no such scorecard, or the party's
    columns are no longer those of its training, and DataError if the party's declaration cannot be read.
    """
    declared = read_declaration(folder)
    study, model = _stores(state, run, declared.name)
    if study.read(Schema).digest != schema_hash(declared):
        raise ConfigError(
            f"The columns declared in {folder} have changed since {run} was trained; undo that in its party.toml, or "
            "train again."
        )
    name = "/".join(model.folder.relative_to(state).parts)
    table, binning = read_table(study), model.read(Binning)
    if model.has(Model):
        table = model.read(Model).schema.table(table)
    if model.has(PassiveModel):
        kept = model.read(PassiveModel)
        points = Points(
            base=0, columns=tuple(columns_of(declared, table, binning, kept.grouping, kept.table))
        )
        return Scorecard(run=name, party=declared.name, id=declared.id, points=points)
    if not model.has(Scale):
        raise ConfigError(f"{run} was trained by an earlier version, which kept no scale; train it again.")
    bank, groupings, scale = model.read(BankModel), model.read(Groupings), model.read(Scale)
    of_bank = BankPoints.of(groupings.columns, bank.weights.joint, bank.weights.alone, scale)
    joint, alone = (
        Points(
            base=base,
            columns=(
                *columns_of(declared, table, binning, groupings.columns.grouping, of_columns),
                *_partner_columns(groupings.columns.covered, of_columns),
            ),
        )
        for base, of_columns in ((of_bank.base, of_bank.table), (of_bank.alone_base, of_bank.alone_table))
    )
    score = Score(
        partners=tuple(groupings.passive),
        alone=alone,
        offset=scale.offset,
        factor=scale.factor,
        slope=bank.calibration.slope,
        intercept=bank.calibration.intercept,
    )
    return Scorecard(run=name, party=declared.name, id=declared.id, points=joint, score=score)


def to_json(scorecard: Scorecard) -> str:
    """The scorecard as a JSON document."""
    return msgspec.json.format(msgspec.json.encode(scorecard), indent=2).decode() + "\n"


def to_sql(scorecard: Scorecard) -> str:
    """The scorecard as one query in standard SQL, over the table `features` of `siloscore features`.

    A passive party's query gives id and points. The bank's gives id and score; it reads what each passive party's query
    gave from a table that is named `points_` and the party's name.
    """
    lines = [*_head(scorecard), "SELECT", f"  f.{_name(scorecard.id)} AS id,"]
    if scorecard.score is None:
        return "\n".join([*lines, *_sum(scorecard.points, {}), "  AS points", "FROM features AS f;", ""])
    aliases = {party: f"p{number}" for number, party in enumerate(scorecard.score.partners, 1)}
    unknown = " AND ".join(f"{alias}.id IS NULL" for alias in aliases.values()) or "1 = 1"
    lines += [
        f"  CASE WHEN {unknown} THEN",
        *_sum(scorecard.score.alone, aliases),
        "  ELSE",
        *_sum(scorecard.points, aliases),
        *(f"    + COALESCE({alias}.points, 0)" for alias in aliases.values()),
        "  END AS score",
        "FROM features AS f",
    ]
    lines += [
        f"LEFT JOIN {_name(f'points_{party}')} AS {alias} ON {alias}.id = f.{_name(scorecard.id)}"
        for party, alias in aliases.items()
    ]
    lines[-1] += ";"
    return "\n".join([*lines, ""])


def _stores(state: Path, run: str, party: str) -> tuple[Store, Store]:
    """Where a party has its rows and the model that a run's words name; ConfigError unless they name one scorecard."""
    study, contender, seed = (*run.split("/"), "", "")[:3]
    contender = contender or CONTENDER
    models = _models(state / study / contender, seed)
    if not models and (state / sub_study(study, party)).is_dir():
        # As one of several banks, the party has what it trains with passive parties in its sub-study.
        study = sub_study(study, party)
        models = _models(state / study / contender, seed)
    if not models:
        parts = [
            f"{folder.parent.name}/{contender}"
            for folder in sorted(state.glob(f"{sub_study(study, '*')}/{contender}"))
            if _models(folder, seed)
        ]
        if parts:
            raise ConfigError(
                f"{run!r} is a scorecard of several banks, and each has its own levels; name the bank's part: "
                f"{' or '.join(parts)}."
            )
        raise ConfigError(
            f"There is no trained scorecard {run!r} in {state}; name it as STUDY/{CONTENDER} or STUDY/{CONTENDER}/SEED."
        )
    if len(models) > 1:
        seeds = [model.folder.name for model in models]
        raise ConfigError(f"{run!r} was trained under the seeds {', '.join(seeds)}; name one: {run}/SEED.")
    # What several banks train together is in the study of all, and the bank's own rows are in its sub-study.
    with_rows = sub_study(study, party) if models[0].has(Model) else study
    return Store(state / with_rows), models[0]


def _models(folder: Path, seed: str) -> list[Store]:
    """The trained scorecards of a contender, under all its seeds or one."""
    seeds = sorted(path for path in folder.glob("*/") if not seed or path.name == seed)
    return [model for model in map(Store, seeds) if _is_scorecard(model)]


def _is_scorecard(model: Store) -> bool:
    return (model.has(Groupings) and model.has(BankModel)) or model.has(PassiveModel)


def columns_of(
    declared: Declaration, table: Table, binning: Binning, grouping: Grouping, points: PointsTable
) -> Iterator[AnyColumn]:
    """The columns of a party's table that have points; `points` may have further columns after them."""
    columns = {column.name: column for column in declared.columns}
    for number, of_groups in zip(grouping.columns, points.by_column, strict=False):
        name, of_bins = table.names[number], of_groups[grouping.by_column[number]]
        gaps = int(of_bins[-1 if binning.missing[number] else binning.fullest[number]])
        if number < len(binning.cuts):
            yield _numeric(columns[name], binning.cuts[number], binning.special[number], of_bins, gaps)
        else:
            place = number - len(binning.cuts)
            *bins, others = binning.levels[place].tolist()
            pairs = zip(table.levels[place], bins, strict=True)
            yield CategoricalColumn(
                name=name,
                missing=gaps,
                # Levels without a bin of their own go where an unseen one does.
                levels=tuple(Level(level, int(of_bins[bin_])) for level, bin_ in pairs if bin_ != others),
                unseen=int(of_bins[others if others >= 0 else binning.fullest[number]]),
            )


def _numeric(
    column: Column,
    cuts: NDArray[np.float64],
    special: NDArray[np.float64],
    of_bins: NDArray[np.int64],
    missing: int,
) -> NumericColumn:
    """A numeric column; of_bins (bins,) are the points of its bins: those of values, then those apart."""
    of_values, of_special = np.split(of_bins[: len(cuts) + 1 + len(special)], [len(cuts) + 1])
    bins = map(UpTo, cuts.tolist(), of_values[:-1].tolist())
    with_bin = dict(zip(special.tolist(), of_special.tolist(), strict=True))
    return NumericColumn(
        name=column.name,
        missing=missing,
        # A special value without a bin of its own counts as missing.
        special=tuple(
            Special(value, with_bin.get(value, missing)) for value in map(float, sorted(column.special))
        ),
        bins=tuple(list(same)[-1] for _, same in groupby(bins, lambda bin_: bin_.points)),
        above=int(of_values[-1]),
    )


def _partner_columns(covered: Iterable[str], points: PointsTable) -> Iterator[PartnerColumn]:
    """The bank's columns of who is known to a passive party: the last ones that have points."""
    parties = list(covered)
    for party, (known, unknown) in zip(
        parties, points.by_column[len(points.counts) - len(parties) :], strict=True
    ):
        yield PartnerColumn(name=party, known=int(known), unknown=int(unknown))


def _head(scorecard: Scorecard) -> Iterator[str]:
    yield f"-- Points of {text_line(scorecard.party)} in the scorecard {scorecard.run}, written by siloscore export."
    for kind, type_ in ((NumericColumn, "numbers"), (CategoricalColumn, "texts")):
        names = [_name(text_line(c.name)) for c in scorecard.points.columns if isinstance(c, kind)]
        if names:
            yield f"-- In the table features these are {type_}, NULL where missing: {', '.join(names)}."
    if (score := scorecard.score) is not None:
        log_odds = f"{score.intercept!r} + {score.slope!r} * ({score.offset!r} - score) / {score.factor!r}"
        yield f"-- PD: 1 / (1 + EXP(-({log_odds})))"


def _sum(points: Points, aliases: Mapping[str, str]) -> Iterator[str]:
    """The points of a row, as terms; aliases are what the query calls the tables of points of passive parties."""
    yield f"    {points.base}"
    for column in points.columns:
        yield f"    + CASE {' '.join(_cases(column, aliases))} END"


def _cases(column: AnyColumn, aliases: Mapping[str, str]) -> Iterator[str]:
    if isinstance(column, PartnerColumn):
        yield f"WHEN {aliases[column.name]}.id IS NULL THEN {column.unknown} ELSE {column.known}"
        return
    name = f"f.{_name(column.name)}"
    yield f"WHEN {name} IS NULL THEN {column.missing}"
    if isinstance(column, NumericColumn):
        yield from (f"WHEN {name} = {_number(one.value)} THEN {one.points}" for one in column.special)
        yield from (f"WHEN {name} <= {_number(one.up_to)} THEN {one.points}" for one in column.bins)
        yield f"ELSE {column.above}"
        return
    for points in dict.fromkeys(one.points for one in column.levels):
        texts = ", ".join(_text(one.value) for one in column.levels if one.points == points)
        yield f"WHEN {name} IN ({texts}) THEN {points}"
    yield f"ELSE {column.unseen}"


def _name(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""'))


def _text(text: str) -> str:
    return "'{}'".format(text.replace("'", "''"))


def _number(value: float) -> str:
    """A number of the type DOUBLE PRECISION: without an exponent it would be a decimal one, and rounded elsewhere."""
    text = repr(float(value))
    return text if "e" in text else f"{text}E0"
