"""A bank's half of what several banks train together; see `fl/banks` for the conversation.

The rows are those that the bank has aligned in its own sub-study, with the split that it has assigned there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from types import ModuleType
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications, read_table
from clients.binned import assigned, check_seed
from clients.data.declaration import Declaration
from clients.evaluation import keep_scores
from clients.pads import Pads, agreed, banks_of, offered
from clients.session import Session
from clients.store import Store
from fl.banks import (
    Added,
    AddRequest,
    BeginRequest,
    Judged,
    PadKeys,
    ScoreRequest,
    Started,
    StartRequest,
)
from fl.banks.evaluation import cuts_of, outcomes, row_counts, rows_of
from fl.banks.grid import Schema
from fl.banks.program import Program, Rows
from fl.banks.programs import program_of
from fl.calibration import Calibration
from fl.config.banks import BanksConfig
from fl.config.run import RunConfig
from fl.errors import ProtocolError
from fl.evaluation import Evaluation
from fl.evaluation.measures import evaluate
from fl.explanation import BANK, Explanation, Feature
from fl.records import Array, decode, encode
from fl.splits import TEST, VALIDATION, Split
from fl.tables import Table

ANSWERS_ALL = True
"""Its models need no passive party."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Summing:
    """What the bank keeps between two sums.

    pads           of the sum that is under way
    state          of the program, encoded; of the trained model what all banks have of it
    recalibration  of the trained model
    log_odds       float64 (n,) of all rows by the trained model, recalibrated; of none while it trains
    cuts           where the bins of the evaluation meet, once that is known
    """

    pads: Pads
    state: bytes
    recalibration: Calibration = field(default_factory=Calibration)
    log_odds: Floats | None = None
    cuts: Floats | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained model.

    schema         the columns that it is of
    state          of its program, encoded: what all banks have alike
    recalibration  from its log odds to those of this bank
    """

    contender: str
    seed: int
    schema: Schema
    state: bytes
    recalibration: Calibration

    @classmethod
    def of(cls, session: Session, schema: Schema, state: bytes, recalibration: Calibration) -> Self:
        """The model that is asked about."""
        contender, seed = session.envelope.model.split("/")[0], session.envelope.seed
        return cls(contender=contender, seed=seed, schema=schema, state=state, recalibration=recalibration)

    def program(self, config: RunConfig) -> tuple[Program[Any], Any]:
        """The program that has trained it, and the state."""
        program = program_of(self.contender, config, self.seed, self.schema)
        return program, decode(program.state, self.state)


def start(session: Session, request: StartRequest) -> Started:
    """Make fresh keys for the model."""
    check_seed(session, request.seed)
    return offered(session, read_schema(session))


def begin(session: Session, request: BeginRequest) -> Added:
    """Read the keys of the others, and add the first numbers."""
    pads = agreed(session, request.keys, read_schema(session))
    program, rows = _program(session), read_rows(session)
    return _added(session, program, rows, Summing(pads=pads, state=encode(program.begin(rows))))


def add(session: Session, request: AddRequest) -> Added:
    """Go on with the total of a sum, and add the next numbers."""
    summing, total = _unmasked(session, request.total)
    program, rows = _program(session), read_rows(session)
    if summing.log_odds is not None:
        if summing.cuts is not None:
            raise ProtocolError("nothing is to be added any more")
        return _added(session, program, rows, replace(summing, cuts=cuts_of(total)))
    state = program.advance(rows, decode(program.state, summing.state), total)
    return _added(session, program, rows, replace(summing, state=encode(state)), program.progress(state))


def score(session: Session, request: ScoreRequest) -> Judged:
    """Evaluate the trained model on the bank's own test rows, and on those of all banks by their counts."""
    summing, total = _unmasked(session, request.total)
    if summing.log_odds is None or summing.cuts is None:
        raise ProtocolError("the model is not trained yet")
    labels, pd = rows_of(total)
    model = Model.of(session, read_schema(session), summing.state, summing.recalibration)
    evaluation = keep(session, model, read_rows(session), summing.log_odds)
    session.keep(None)
    return Judged(evaluation=evaluation, whole=evaluate(labels, pd, {}))


def keep(session: Session, model: Model, rows: Rows, log_odds: Floats) -> Evaluation:
    """Keep a trained model and the log odds (n,) of the bank's rows by it, and evaluate those of the test rows."""
    half = _scorecard_half(model.contender)
    if half is None:
        scored = keep_scores(session, log_odds, rows.roles, answers_all=True)
    else:
        scored = half.keep(session, model, rows)
    session.store.keep(model)
    if session.config.section(BanksConfig).recalibrate == "none":
        return scored.evaluation
    fitted = {name: np.array([value]) for name, value in vars(model.recalibration).items()}
    return replace(scored.evaluation, tables={**scored.evaluation.tables, "recalibration": fitted})


def recalibrated(session: Session, log_odds: Floats, labels: NDArray[np.int8]) -> Calibration:
    """The bank's own map of a model's log odds, by rows (n,) that the model has not learned from; see `BanksConfig`.

    A bank with few defaults would follow chance, hence the test.
    """
    kind = session.config.section(BanksConfig).recalibrate
    if kind == "none":
        return Calibration()
    return Calibration.fit_if_needed(log_odds, labels, with_slope=kind == "logistic")


def _added(
    session: Session,
    program: Program[Any],
    rows: Rows,
    summing: Summing,
    progress: tuple[int, Mapping[str, float]] | None = None,
) -> Added:
    """Show what is to be added next, and keep what the total is needed for: of the training, then of the evaluation."""
    addend = None
    if summing.log_odds is None:
        state = decode(program.state, summing.state)
        addend = program.addend(rows, state)
        if addend is None:
            log_odds, validation = program.log_odds(rows, state), rows.roles == VALIDATION
            recalibration = recalibrated(session, log_odds[validation], rows.labels[validation])
            summing = replace(
                summing,
                state=encode(program.shared(state)),
                recalibration=recalibration,
                log_odds=recalibration.log_odds(log_odds),
            )
    if addend is None:
        addend = _of_test_rows(rows, summing)
    session.keep(summing)
    step, metrics = progress or (0, {})
    return Added(
        shown=summing.pads.shown(addend),
        is_last=summing.cuts is not None,
        step=step,
        metrics=dict(metrics),
    )


def _of_test_rows(rows: Rows, summing: Summing) -> NDArray[np.int64]:
    """What is added for the evaluation of a trained model: first without, then with bins (`fl/banks/evaluation.py`)."""
    test = rows.roles == TEST
    if summing.log_odds is None:
        raise ProtocolError("the model is not trained yet")
    if summing.cuts is None:
        return row_counts(summing.log_odds[test])
    return outcomes(summing.log_odds[test], rows.labels[test], summing.cuts)


def _unmasked(session: Session, total: Array) -> tuple[Summing, NDArray[np.int64]]:
    """What is kept, with the use of the next sum, and the total of the last one."""
    summing = session.state(Summing)
    sums, pads = summing.pads.read(total)
    return replace(summing, pads=pads), sums


def _program(session: Session) -> Program[Any]:
    contender = session.envelope.model.split("/")[0]
    banks = len(banks_of(session))
    return program_of(contender, session.config, session.envelope.seed, read_schema(session), banks)


def read_rows(session: Session) -> Rows:
    """The bank's own rows, from its sub-study."""
    study, applications = session.aligned, read_applications(session.aligned)
    return Rows(
        name=session.declaration.name,
        table=read_table(study),
        labels=applications.labels,
        roles=assigned(study, session.envelope.seed).read(Split).roles,
        signs={column.name: column.sign for column in session.declaration.columns},
        segments=applications.segments,
    )


def _applicants(table: Table) -> Rows:
    none = np.empty(0, np.int8)
    return Rows(name="", table=table, labels=none, roles=none, signs={}, segments={})


def read_schema(session: Session) -> Schema:
    """What the bank declares of its columns, in the order of its table."""
    return schema_of(session.declaration, read_table(session.aligned))


def schema_of(declaration: Declaration, table: Table) -> Schema:
    """What a bank declares of the columns of a table, in their order.

    Raises ProtocolError for a column without declared levels: those in the data would tell of single businesses.
    """
    columns = {column.name: column for column in declaration.columns}
    for name in table.categorical_names:
        if not columns[name].levels:
            raise ProtocolError(
                f"its column {name} has no `levels` in its party.toml; banks that train together declare them"
            )
    return Schema(
        numeric=table.numeric_names,
        categorical=table.categorical_names,
        levels=tuple(columns[name].levels for name in table.categorical_names),
        special=tuple(tuple(sorted(columns[name].special)) for name in table.numeric_names),
    )


def _scorecard_half(contender: str) -> ModuleType | None:
    """What keeps a scorecard as that of a bank alone, and answers in points."""
    return import_module("clients.scorecard.banks") if contender == "banks-scorecard" else None


def is_trained(model: Store) -> bool:
    """Whether the store holds a trained model."""
    return model.has(Model)


def contribution(model: Store, table: Table, config: RunConfig) -> PadKeys:
    """Raises ProtocolError: no passive party has a part of such a model."""
    raise ProtocolError("no passive party has a part of a model of several banks")


def log_odds(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Any],
    config: RunConfig,
) -> Floats:
    """The log odds of default (n,) of a table's rows, whoever else knows them."""
    trained = model.read(Model)
    program, state = trained.program(config)
    return trained.recalibration.log_odds(program.log_odds(_applicants(table), state))


def explain(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Any],
    config: RunConfig,
) -> Explanation:
    """How the log odds of the rows of a table come about."""
    trained = model.read(Model)
    (program, state), rows = trained.program(config), _applicants(table)
    added = program.contributions(rows, state)
    base = program.log_odds(rows, state) - sum(added.values(), np.zeros(len(table)))
    features = {Feature(BANK, number): values for number, values in added.items()}
    return Explanation(base, features).calibrated(trained.recalibration)


def answers(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Any],
    config: RunConfig,
) -> dict[str, Array]:
    """Columns of the bank's answers beside score and PD: those of the algorithm's own half."""
    trained = model.read(Model)
    half = _scorecard_half(trained.contender)
    if half is None:
        return {}
    return cast(dict[str, Array], half.answers(model, trained.schema.table(table), {}, {}, config))
