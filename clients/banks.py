"""A bank's half of what several banks train together; see `fl/banks` for the conversation.

The rows are those that the bank has aligned in its own sub-study, with the split that it has assigned there.
"""

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
from clients.pads import Pads, agreed, offered
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
from fl.config.run import RunConfig
from fl.errors import ProtocolError
from fl.evaluation.measures import evaluate
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
