"""A party's half of the toy protocol."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from clients.aligned import read_applications, read_coverage, read_table
from clients.evaluation import keep_scores
from clients.session import Session
from clients.store import Store
from fl.arrays import check_names, check_numbers
from fl.config.run import RunConfig
from fl.evaluation import Scored
from fl.explanation import Explanation
from fl.messages import Letter
from fl.splits import TRAIN, Split
from fl.tables import Table
from tests.toy.messages import Column, FitRequest, Started, StartRequest, TellRequest, Told, ToyConfig

ANSWERS_ALL = False


@dataclass(frozen=True)
class Standard:
    """The mean and the deviation of the party's first column."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Weights:
    """At the label holder: log odds are intercept + slope · sum of the columns."""

    intercept: float
    slope: float


@dataclass(frozen=True)
class Begun:
    """What a party keeps from the start on."""

    split: Split


def start(session: Session, request: StartRequest) -> Started:
    split = request.split.read(Split)
    values = read_table(session.study).numeric[split.roles == TRAIN, 0]
    session.store.keep(Standard(float(np.nanmean(values)), float(np.nanstd(values))))
    session.keep(Begun(split))
    return Started(int(np.isfinite(values).sum()))


def tell(session: Session, request: TellRequest) -> Told:
    return Told(Letter.of(contribution(session.store, read_table(session.study), session.config)))


def fit(session: Session, request: FitRequest) -> Scored:
    table, coverage = read_table(session.study), read_coverage(session.study)
    columns = {party: letter.read(Column) for party, letter in request.columns.items()}
    roles = session.state(Begun).split.roles
    training = roles == TRAIN
    total = _total(session.store, table, coverage, columns, session.config)[training]
    labels = read_applications(session.study).labels[training]
    inputs, weights = np.column_stack([np.ones(len(total)), total]), np.zeros(2)
    for _ in range(session.config.section(ToyConfig).steps):  # Newton's method
        pd = expit(inputs @ weights)
        curvature = inputs.T @ (inputs * (pd * (1 - pd))[:, None])
        weights -= np.linalg.solve(curvature, inputs.T @ (pd - labels))
    session.store.keep(Weights(*weights.tolist()))
    return keep_scores(session, log_odds(session.store, table, coverage, columns, session.config), roles)


def is_trained(model: Store) -> bool:
    return model.has(Standard)


def contribution(model: Store, table: Table, config: RunConfig) -> Column:
    standard = model.read(Standard)
    return Column(np.nan_to_num((table.numeric[:, 0] - standard.mean) / standard.deviation))


def log_odds(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Column],
    config: RunConfig,
) -> NDArray[np.float64]:
    weights = model.read(Weights)
    return weights.intercept + weights.slope * _total(model, table, coverage, contributions, config)


def explain(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Column],
    config: RunConfig,
) -> Explanation:
    return Explanation(log_odds(model, table, coverage, contributions, config), {})


def answers(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Column],
    config: RunConfig,
) -> dict[str, NDArray[np.float64]]:
    return {}


def _total(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Column],
    config: RunConfig,
) -> NDArray[np.float64]:
    check_names("columns", contributions, coverage)
    total = contribution(model, table, config).values
    for party, column in contributions.items():
        check_numbers(f"the column of {party}", column.values, (len(table),), np.float64)
        total = total + column.values
    return np.asarray(total, np.float64)
