"""A bank's half of boosting with other banks and passive parties; see `fl/hybrid` for the conversation.

What it has in common with the scorecard's is in `clients/hybrids.py`. In its sub-study, the bank tells passive parties
what `clients/boosting` tells them, and shows to the other banks what it has opened.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications, read_coverage, read_table
from clients.banks import read_schema
from clients.binned import start_model
from clients.boosting.label_holder import Bank, BankState, PassiveColumns, make_keys, read_data, score_all
from clients.forests import ANSWERS_ALL, answers, contribution, explain, is_trained, log_odds
from clients.hybrids import (
    Outside,
    agreed_pads,
    forget_keys,
    judged,
    keep_binning,
    keep_keys,
    offer_keys,
    show_outcomes,
    tested,
)
from clients.pads import Pads
from clients.session import Session
from fl.arrays import check_names
from fl.banks import Judged, Started
from fl.banks.boosting import BANKS
from fl.banks.evaluation import row_counts
from fl.banks.grid import Grid
from fl.boosting import Columns, Keys
from fl.boosting.gradients import log_odds_of
from fl.boosting.growth import Data, Demand
from fl.config.boosting import BoostingConfig
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
from fl.splits import TRAIN, VALIDATION

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


def start(session: Session, request: StartRequest) -> Started:
    """Make fresh keys for the model."""
    return offer_keys(session, request.seed)


def agree(session: Session, request: AgreeRequest) -> Agreed:
    """Keep the pads of the first sum."""
    return keep_keys(session, request.keys)


def close(session: Session, request: CloseRequest) -> Closed:
    """Forget the keys."""
    return forget_keys(session)


def count(session: Session, request: CountRequest) -> Shown:
    """Show how many rows train, validate and are bad, and how many are in each cell of the common grid."""
    roles = start_model(session, request.seed, request.split).roles
    labels = read_applications(session.study).labels
    training = np.flatnonzero(roles == TRAIN)
    rows = np.array([len(training), (roles == VALIDATION).sum(), labels[training].sum()], np.int64)
    common = read_schema(session)
    cells = Grid(common).addend(common.table(read_table(session.study)).take(training))
    pads = agreed_pads(session)
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
    grid = Grid(read_schema(session))
    keep_binning(session, grid, counts[3:], config.bins, config.min_bin_count)
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
    return Shown(state.pads.shown(row_counts(tested(session)[0])))


def cut(session: Session, request: CutRequest) -> Shown:
    """Show the goods and bads of the test rows by common bins of the score."""
    state = session.state(Outside)
    return show_outcomes(session, state, *state.pads.read(request.total))


def judge(session: Session, request: JudgeRequest) -> Judged:
    """How the model does on the bank's own test rows, and on those of all banks."""
    return judged(session, request.total)


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
