"""A bank's half of boosting with other banks and passive parties; see `fl/hybrid` for the conversation.

In the study of all, the bank makes keys for the secure sums. All else happens in its sub-study, where it tells passive
parties what `clients/boosting` tells them, and shows what it has opened under the pads of these keys.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications, read_coverage, read_table
from clients.banks import schema_of
from clients.binned import check_seed, read_setup, start_model
from clients.boosting.label_holder import Bank, BankState, PassiveColumns, make_keys, read_data, score_all
from clients.forests import ANSWERS_ALL, answers, contribution, explain, is_trained, log_odds
from clients.pads import Pads, agreed, offered
from clients.scores import Scores
from clients.session import Session
from clients.store import Store
from fl.arrays import check_names
from fl.banks import Judged, Started
from fl.banks.boosting import BANKS
from fl.banks.evaluation import cuts_of, outcomes, row_counts, rows_of
from fl.banks.grid import Grid, Schema
from fl.binning import Binning
from fl.boosting import Columns, Keys
from fl.boosting.gradients import log_odds_of
from fl.boosting.growth import Data, Demand
from fl.config.boosting import BoostingConfig
from fl.errors import ProtocolError
from fl.evaluation import Evaluation
from fl.evaluation.measures import evaluate
from fl.hybrid import (
    AddRequest,
    Agreed,
    AgreeRequest,
    BeginRequest,
    Closed,
    CloseRequest,
    CountRequest,
    CutRequest,
    Ended,
    JudgeRequest,
    Next,
    ScoreRequest,
    Shown,
    SplitRequest,
    StartRequest,
)
from fl.hybrid.growing import Gathered, HybridGrower, Rows
from fl.splits import TEST, TRAIN, VALIDATION
from fl.studies import whole_study

__all__ = [
    "ANSWERS_ALL",
    "add",
    "agree",
    "answers",
    "begin",
    "close",
    "contribution",
    "count",
    "cut",
    "explain",
    "is_trained",
    "judge",
    "log_odds",
    "score",
    "split",
    "start",
]


@dataclass(frozen=True)
class Common:
    """What all banks have in common beside their bins: the log odds at which scores start, and all their rows."""

    base: float
    rows: Rows


@dataclass(frozen=True, kw_only=True)
class HybridState:
    """What the bank keeps between two requests while trees grow: as for one bank, and what it has added last."""

    bank: BankState
    gathered: Gathered | None
    pads: Pads


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What the bank keeps before and after the training: the pads, and its own evaluation once it is there."""

    pads: Pads
    evaluation: Evaluation | None = None


def start(session: Session, request: StartRequest) -> Started:
    """Make fresh keys for the model."""
    check_seed(session, request.seed)
    return offered(session, _schema(session, session.aligned))


def agree(session: Session, request: AgreeRequest) -> Agreed:
    """Keep the pads of the first sum."""
    session.store.keep(agreed(session, request.keys, _schema(session, session.aligned)))
    return Agreed()


def close(session: Session, request: CloseRequest) -> Closed:
    """Forget the keys."""
    session.store.remove(Pads)
    session.keep(None)
    return Closed()


def count(session: Session, request: CountRequest) -> Shown:
    """Show how many rows train, validate and are bad, and how many are in each cell of the common grid."""
    roles = start_model(session, request.seed, request.split).roles
    labels, schema = read_applications(session.study).labels, _schema(session, session.study)
    training = np.flatnonzero(roles == TRAIN)
    rows = np.array([len(training), (roles == VALIDATION).sum(), labels[training].sum()], np.int64)
    cells = Grid(schema).addend(schema.table(read_table(session.study)).take(training))
    whole = session.earlier(whole_study(session.envelope.study), session.envelope.model)
    if not whole.has(Pads):
        raise ProtocolError("the banks have not agreed on keys for this model")
    pads = whole.read(Pads)
    session.keep(Outside(pads=pads))
    return Shown(pads.shown(np.concatenate([rows, cells])))


def begin(session: Session, request: BeginRequest) -> Next:
    """Make the banks' bins and the keys of the encryption, and demand the first sums."""
    coverage, config = read_coverage(session.study), session.config.section(BoostingConfig)
    check_names("columns", request.columns, coverage)
    columns = {party: request.columns[party].read(Columns) for party in coverage}
    counts, pads = session.state(Outside).pads.read(request.total)
    training, validation, bads = counts[:3].tolist()
    rows = Rows(training=training, validation=validation)
    session.store.keep(Common(base=log_odds_of(bads / training), rows=rows))
    session.store.keep(_binning(session, counts[3:], config))
    session.store.keep(PassiveColumns(columns))
    keys = make_keys(session, columns)
    grower, demand = HybridGrower.begin_with(_data(session), config, rows)
    return _next(session, Bank(session, grower), pads, demand, keys=keys)


def split(session: Session, request: SplitRequest) -> Next | Shown:
    """Take where rows went, and what the passive parties have added up; show that to the other banks, if it is due."""
    state = session.state(HybridState)
    grower = _grower(session, state)
    bank = Bank(session, grower, state.bank)
    resolved = grower.resolve(bank.members(request.members))
    addend = grower.gather(bank.answers(resolved, request.sums))
    if not len(addend):
        return _next(session, bank, state.pads, grower.go_on())
    session.keep(HybridState(bank=bank.state, gathered=grower.gathered, pads=state.pads))
    return Shown(state.pads.shown(addend))


def add(session: Session, request: AddRequest) -> Next | Ended:
    """Go on by the total of all banks."""
    state = session.state(HybridState)
    grower = _grower(session, state)
    bank = Bank(session, grower, state.bank)
    total, pads = state.pads.read(request.total)
    demand, losses = grower.advance_by(total)
    if demand is not None:
        return _next(session, bank, pads, demand, losses)
    kept = bank.end()
    session.keep(Outside(pads=pads))
    return Ended(kept=kept, trees=bank.trees, metrics=_metrics(losses))


def score(session: Session, request: ScoreRequest) -> Shown:
    """Score all rows by the final forest, and show how many test rows have which score."""
    scored = score_all(session, request.outcomes, request.reasons)
    state = replace(session.state(Outside), evaluation=scored.evaluation)
    session.keep(state)
    return Shown(state.pads.shown(row_counts(_tested(session)[0])))


def cut(session: Session, request: CutRequest) -> Shown:
    """Show the goods and bads of the test rows by common bins of the score."""
    state = session.state(Outside)
    total, pads = state.pads.read(request.total)
    cuts = cuts_of(total)
    session.keep(replace(state, pads=pads))
    return Shown(pads.shown(outcomes(*_tested(session), cuts)))


def judge(session: Session, request: JudgeRequest) -> Judged:
    """How the model does on the bank's own test rows, and on those of all banks."""
    state = session.state(Outside)
    if state.evaluation is None:
        raise ProtocolError("the model is not evaluated yet")
    labels, pd = rows_of(state.pads.read(request.total)[0])
    session.keep(None)
    return Judged(evaluation=state.evaluation, whole=evaluate(labels, pd, {}))


def _next(
    session: Session,
    bank: Bank,
    pads: Pads,
    demand: Demand,
    losses: NDArray[np.float64] | None = None,
    keys: Keys | None = None,
) -> Next:
    """Put a demand in a message, and keep the state."""
    demanded = bank.demanded(demand, None, keys)
    session.keep(HybridState(bank=bank.state, gathered=None, pads=pads))
    return Next(**vars(demanded), metrics=_metrics(losses))


def _metrics(losses: NDArray[np.float64] | None) -> dict[str, float]:
    return {} if losses is None else {"train.loss": float(losses[0]), "valid.loss": float(losses[1])}


def _grower(session: Session, state: HybridState) -> HybridGrower:
    config, rows = session.config.section(BoostingConfig), session.store.read(Common).rows
    return HybridGrower(_data(session), config, state.bank.growth, rows, state.gathered)


def _data(session: Session) -> Data:
    """What the forest is grown on at this bank: the columns of its trees are drawn for all banks."""
    return replace(read_data(session), name=BANKS, base=session.store.read(Common).base)


def _binning(session: Session, counts: NDArray[np.int64], config: BoostingConfig) -> Binning:
    """The banks' bins by their counts, for the codes of the bank's own table."""
    table, schema = read_table(session.study), _schema(session, session.study)
    signs = np.array([session.columns[name].sign for name in table.names], np.int8)
    binning = Grid(schema).binning(counts, config.bins, config.min_bin_count, signs)
    return binning.with_codes_of(table, schema.table(table))


def _tested(session: Session) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """The log odds and the labels of the bank's test rows."""
    test = read_setup(session).roles == TEST
    return session.store.read(Scores).log_odds[test], read_applications(session.study).labels[test]


def _schema(session: Session, study: Store) -> Schema:
    """What the bank declares of its columns, in the order of its table."""
    return schema_of(session.declaration, read_table(study))
