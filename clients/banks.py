"""A bank's half of what several banks train together; see `fl/banks` for the conversation.

The rows are those that the bank has aligned in its own sub-study, with the split that it has assigned there. A bank
refuses to train with one other alone unless the run allows that, as each would have the other's numbers.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications, read_table
from clients.binned import assigned, check_seed
from clients.data.declaration import Declaration
from clients.evaluation import keep_scores
from clients.post import Partners
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
from fl.config.banks import BanksConfig
from fl.config.run import RunConfig
from fl.errors import ProtocolError
from fl.evaluation.measures import evaluate
from fl.explanation import BANK, Explanation, Feature
from fl.messages import Letter
from fl.records import Array, decode, encode
from fl.secure_sums import KEY, Keys, Use
from fl.splits import TEST, Split
from fl.tables import Table

ANSWERS_ALL = True
"""Its models need no passive party."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """The keys that the bank has made for a model, 32 bytes each; the group key is that of the first bank, or empty."""

    private: bytes
    group: bytes


@dataclass(frozen=True, kw_only=True)
class Summing:
    """What the bank keeps between two sums.

    keys and use  hide what it adds in the sum that is under way
    state         of the program, encoded
    log_odds      float64 (n,) of all rows by the trained model; of none while it trains
    cuts          where the bins of the evaluation meet, once that is known
    """

    keys: Keys
    use: Use
    state: bytes
    log_odds: Floats | None = None
    cuts: Floats | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained model: its contender and seed, the columns, and the last state of its program, encoded."""

    contender: str
    seed: int
    schema: Schema
    state: bytes

    def log_odds(self, table: Table, config: RunConfig) -> Floats:
        """The log odds of default (n,) of a table's rows."""
        program = program_of(self.contender, config, self.seed, self.schema)
        return program.log_odds(_applicants(table), decode(program.state, self.state))


def start(session: Session, request: StartRequest) -> Started:
    """Make fresh keys for the model."""
    check_seed(session, request.seed)
    banks, name = _banks(session), session.declaration.name
    if len(banks) == 2 and not session.config.section(BanksConfig).allow_two:
        raise ProtocolError(
            "of two banks each can take its own numbers off every sum, and has the other's; bring a third bank, or "
            "allow that by --allow-two (banks.allow-two)"
        )
    # From the operating system: a bank that is asked for the model again, in another study, has other pads.
    made = Secrets(private=os.urandom(KEY), group=os.urandom(KEY) if name == banks[0] else b"")
    session.keep(made)
    told = PadKeys(public=Keys.public_of(made.private), group=made.group, schema=_digest(_schema(session)))
    return Started({other: Letter.of(told) for other in banks if other != name})


def begin(session: Session, request: BeginRequest) -> Added:
    """Read the keys of the others, and add the first numbers."""
    banks, name, made = _banks(session), session.declaration.name, session.state(Secrets)
    told = {other: letter.read(PadKeys) for other, letter in request.keys.items()}
    if told.keys() != set(banks) - {name}:
        raise ProtocolError(f"the keys of {', '.join(banks)} are needed, and those of {', '.join(told)} came")
    schema = _digest(_schema(session))
    for other, of_other in told.items():
        if of_other.schema != schema:
            raise ProtocolError(
                f"{other} declares other columns, levels or special values, or these in another order; banks that "
                "train together declare the same in their party.toml"
            )
    group = made.group or told[banks[0]].group
    if len(group) != KEY:
        raise ProtocolError(f"{banks[0]} has told no group key")
    public = {other: of_other.public for other, of_other in told.items()}
    use = Use(
        study=session.envelope.study,
        model=session.envelope.model,
        step=session.envelope.step,
        banks={**public, name: Keys.public_of(made.private)},
    )
    program, rows = _program(session), _rows(session)
    keys = Keys(bank=name, private=made.private, group=group)
    return _added(session, program, rows, Summing(keys=keys, use=use, state=encode(program.begin(rows))))


def add(session: Session, request: AddRequest) -> Added:
    """Go on with the total of a sum, and add the next numbers."""
    summing, total = _unmasked(session, request.total)
    program, rows = _program(session), _rows(session)
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
    contender, seed, rows = session.envelope.model.split("/")[0], session.envelope.seed, _rows(session)
    schema, labels, pd = _schema(session), *rows_of(total)
    session.store.keep(Model(contender=contender, seed=seed, schema=schema, state=summing.state))
    half = _half_of(contender)
    if half is None:
        scored = keep_scores(session, summing.log_odds, rows.roles, answers_all=True)
    else:
        program = _program(session)
        scored = half.keep(session, program, schema, rows, decode(program.state, summing.state))
    session.keep(None)
    return Judged(evaluation=scored.evaluation, whole=evaluate(labels, pd, {}))


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
            summing = replace(summing, log_odds=program.log_odds(rows, state))
    if addend is None:
        addend = _of_test_rows(rows, summing)
    session.keep(summing)
    step, metrics = progress or (0, {})
    return Added(
        shown=summing.keys.mask(addend, summing.use),
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
    if total.dtype != np.uint64 or total.ndim != 1:
        raise ProtocolError("a total must be whole numbers (k,) of 64 bits")
    return replace(summing, use=summing.use.after(total)), summing.keys.unmask(total, summing.use)


def _banks(session: Session) -> tuple[str, ...]:
    """The banks of the study, sorted. Raises ProtocolError unless they have met, and are among themselves."""
    if not session.study.has(Partners):
        raise ProtocolError("the banks of the study have not met")
    partners = session.study.read(Partners)
    if len(partners.label_holders) < 2:
        raise ProtocolError(
            "this is asked in the study of several banks, not in that of one with its partners"
        )
    return tuple(sorted(partners.label_holders))


def _program(session: Session) -> Program[Any]:
    contender = session.envelope.model.split("/")[0]
    return program_of(contender, session.config, session.envelope.seed, _schema(session))


def _rows(session: Session) -> Rows:
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


def _schema(session: Session) -> Schema:
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


def _digest(schema: Schema) -> str:
    return hashlib.sha256(encode(schema)).hexdigest()


_HALVES = {"banks-scorecard": "clients.scorecard.banks"}
"""Modules that keep more of a contender's model than its state, and answer more: they have `keep` and `answers`."""


def _half_of(contender: str) -> ModuleType | None:
    return import_module(_HALVES[contender]) if contender in _HALVES else None


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
    return model.read(Model).log_odds(table, config)


def explain(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Any],
    config: RunConfig,
) -> Explanation:
    """How the log odds of the rows of a table come about."""
    trained = model.read(Model)
    program, rows = program_of(trained.contender, config, trained.seed, trained.schema), _applicants(table)
    state = decode(program.state, trained.state)
    added = program.contributions(rows, state)
    base = program.log_odds(rows, state) - sum(added.values(), np.zeros(len(table)))
    return Explanation(base, {Feature(BANK, number): values for number, values in added.items()})


def answers(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Any],
    config: RunConfig,
) -> dict[str, Array]:
    """Columns of the bank's answers beside score and PD: those of the algorithm's own half."""
    trained = model.read(Model)
    half = _half_of(trained.contender)
    return (
        cast(dict[str, Array], half.answers(model, trained.schema.table(table), {}, {}, config))
        if half
        else {}
    )
