"""What a bank does in the scorecard of several banks: it opens its shares, adds, and does what all totals ask for."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications, read_coverage, read_table
from clients.banks import read_schema
from clients.binned import read_setup, start_model
from clients.hybrid_scorecard.passive import TOTAL
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
from clients.scorecard.columns import LABEL_RANGES, demanded, residual_ranges
from clients.scorecard.label_holder import (
    Counting,
    check_counts,
    encrypt_labels,
    encrypt_residual,
    end_training,
    group_passive,
    keep_trained,
    learned_labels,
    owner_of,
    read_told,
    score_told,
    steps_of,
    training_labels,
)
from clients.scorecard.model import BankWeights, Groupings
from clients.session import Session
from fl.arrays import check_names
from fl.banks import Judged, Started
from fl.banks.evaluation import row_counts
from fl.banks.grid import Grid
from fl.banks.newton import check_length
from fl.config.scorecard import ScorecardConfig
from fl.encrypted_sums import added, adds_up, restore_owner, sums_of_shares
from fl.errors import ConfigError, ProtocolError
from fl.hybrid import Agreed, Closed, Shown
from fl.hybrid_scorecard import (
    AddRequest,
    AgreeRequest,
    BeginRequest,
    CloseRequest,
    CutRequest,
    Ended,
    GroupRequest,
    JudgeRequest,
    Masks,
    OpenRequest,
    PassRequest,
    ScoreRequest,
    Solved,
    SolveRequest,
    StartRequest,
    TallyRequest,
    TellRequest,
)
from fl.hybrid_scorecard.solving import Solver, State, regression_of
from fl.messages import Letter
from fl.records import Array
from fl.scorecard import Begun, BinnedColumns, EncryptedSums, Groups, Opened, OpenedSums
from fl.scorecard.bank import BankColumns
from fl.scorecard.card import by_card, check_applied, given
from fl.scorecard.design import one_hot
from fl.scorecard.grouping import check_columns
from fl.scorecard.grouping import group as group_columns
from fl.splits import TRAIN, VALIDATION
from fl.sums import counts_by_bin

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Common:
    """What the rows of all banks are.

    labels  int64 (2, 2): goods and bads of those that train and of those that validate
    known   by passive party int64 (2,): goods and bads of those that train and that it knows
    """

    labels: Integers
    known: Mapping[str, Integers]

    @property
    def training(self) -> int:
        """How many rows train."""
        return int(self.labels[0].sum())


@dataclass(frozen=True, kw_only=True)
class Tallying:
    """What the bank remembers while labels are summed; counting is as for one bank, and none once they are opened."""

    columns: Mapping[str, BinnedColumns]
    pads: Pads
    counting: Counting | None = None


@dataclass(frozen=True, kw_only=True)
class Solving:
    """What the bank remembers of the exchanges; ticket is that of the residual, none if no sums of it are awaited."""

    state: State
    pads: Pads
    ticket: Mapping[str, Array]


@dataclass(frozen=True)
class Trained:
    """What the bank remembers between training and evaluation."""

    weights: BankWeights
    pads: Pads


@dataclass(frozen=True)
class Scoring:
    """What the bank remembers while the scores are evaluated.

    expected  int64 (p, 2): what each passive party should have given all goods and all bads that train, by its card
    """

    outside: Outside
    expected: Integers


def start(session: Session, request: StartRequest) -> Started:
    """Make fresh keys for the model."""
    return offer_keys(session, request.seed)


def agree(session: Session, request: AgreeRequest) -> Agreed:
    """Keep the pads of the first sum."""
    return keep_keys(session, request.keys)


def close(session: Session, request: CloseRequest) -> Closed:
    """Forget the keys."""
    return forget_keys(session)


def tell(session: Session, request: TellRequest) -> Shown:
    """Show the goods and bads of training and validation rows and of whom partners know, and cells of the common grid.

    Raises ConfigError for an engine whose masks do not add up.
    """
    if not adds_up(encryption := session.config.section(ScorecardConfig).encryption):
        raise ConfigError(
            f"Setting 'scorecard.encryption' = {encryption} is for one bank; choose lattice or plain where several "
            "banks train together."
        )
    roles = start_model(session, request.seed, request.split).roles
    labels, training = read_applications(session.study).labels, np.flatnonzero(roles == TRAIN)
    of_roles = [_by_label(labels[roles == role]) for role in (TRAIN, VALIDATION)]
    known = [_by_label(labels[training[of[training]]]) for of in read_coverage(session.study).values()]
    grid = _grid(session)
    cells = grid.addend(grid.schema.table(read_table(session.study)).take(training))
    pads = agreed_pads(session)
    session.keep(Outside(pads=pads))
    return Shown(pads.shown(np.concatenate([*of_roles, *known, cells])))


def begin(session: Session, request: BeginRequest) -> Begun:
    """Make the banks' bins and the keys of the encryption, and encrypt the labels."""
    coverage, config = read_coverage(session.study), session.config.section(ScorecardConfig)
    check_names("columns", request.columns, coverage)
    total, pads = session.state(Outside).pads.read(request.total)
    of_roles, of_parties, cells = np.split(total, [4, 4 + 2 * len(coverage)])
    common = Common(of_roles.reshape(2, 2), dict(zip(coverage, of_parties.reshape(-1, 2), strict=True)))
    if not common.labels.all():
        raise ProtocolError("the banks' training and validation rows must hold goods and bads")
    session.store.keep(common)
    keep_binning(session, _grid(session), cells, config.bins, config.min_group)
    columns = {party: request.columns[party].read(BinnedColumns) for party in coverage}
    for party, binned in columns.items():
        check_counts(party, binned, int(common.known[party].sum()))
    told, counting = encrypt_labels(session, common.training, columns)
    session.keep(Tallying(columns=columns, pads=pads, counting=counting))
    return Begun(Letter.of(told))


def tally(session: Session, request: TallyRequest) -> Shown:
    """Open the bank's shares of the labels' sums, and show them with the goods and bads of its own bins."""
    tallying, config = session.state(Tallying), session.config.section(ScorecardConfig)
    counting, columns = tallying.counting, tallying.columns
    if counting is None:
        raise ProtocolError("the sums of labels are opened once")
    check_names("sums", request.sums, columns)
    owner = restore_owner(config.encryption, counting.secret)
    shares = [
        owner.share(request.sums[party].read(EncryptedSums).sums, counting.ticket, binned.shape.bins + 1)
        for party, binned in columns.items()
    ]
    setup, labels = read_setup(session), training_labels(session)
    shape = setup.binning.shape
    own = counts_by_bin(setup.codes[setup.training], labels, 2, shape.width)[:, shape.cells]
    session.keep(Tallying(columns=columns, pads=tallying.pads))
    return Shown(tallying.pads.shown(np.concatenate([own.ravel(), *shares])))


def group(session: Session, request: GroupRequest) -> Shown:
    """Group all bins by the totals, and begin with the banks' own columns."""
    tallying, common = session.state(Tallying), session.store.read(Common)
    columns, config = tallying.columns, session.config.section(ScorecardConfig)
    check_names("masks", request.masks, columns)
    total, pads = tallying.pads.read(request.total)
    shape = demanded(read_setup(session).binning.shape, config)
    sizes = [2 * int(shape.bins.sum()), *(_sums_of(binned.shape.bins) for binned in columns.values())]
    check_length(total, sum(sizes))
    own, *shares = np.split(total, np.cumsum(sizes)[:-1])
    goods, of_bads = own.reshape(2, -1)
    of_bank = group_columns(shape, goods, of_bads, config, protected=False)
    bads, passive = int(common.labels[0, 1]), {}
    for (party, binned), share in zip(columns.items(), shares, strict=True):
        masks, rows = request.masks[party].read(Masks).masks, common.training
        share = added([share], rows, LABEL_RANGES)
        sums = sums_of_shares(share, masks, rows, LABEL_RANGES, binned.shape.bins + 1)
        unknown = bads - int(common.known[party][1])
        passive[party] = group_passive(party, binned, sums, bads, unknown, config)
    check_columns(of_bank, [evidence.grouping for evidence in passive.values()], config)
    covered = {
        party: number
        for number, (party, known) in enumerate(common.known.items())
        if 0 < known.sum() < common.training
    }
    groupings = Groupings(
        bank=session.declaration.name,
        columns=BankColumns(of_bank.grouping, covered),
        information=of_bank.information,
        passive=passive,
    )
    session.store.keep(groupings)
    solver = _solver(session)
    return _show(session, solver, solver.begin(common.labels), pads)


def add(session: Session, request: AddRequest) -> Shown | Solved | Ended:
    """Go on by the total of what all banks have added for their weights."""
    solving, solver = session.state(Solving), _solver(session)
    total, pads = solving.pads.read(request.total)
    state = solver.add(solving.state, total)
    if not state.newton.settled:
        return _show(session, solver, state, pads)
    count, losses = len(state.products), state.newton.losses[-1]
    metrics = {"train.loss": float(losses[0]), "valid.loss": float(losses[1])}
    if state.finished:
        session.keep(Trained(end_training(session, state.newton.weights, state.alone), pads))
        return Ended(exchanges=count, metrics=metrics)
    groupings = session.store.read(Groupings)
    letter, ticket = encrypt_residual(session, groupings, state.mix, solver.residual(state))
    session.keep(Solving(state=state, pads=pads, ticket=ticket))
    fitting = {} if count else groupings.fitting
    groups = {party: Letter.of(Groups(evidence.grouping.groups)) for party, evidence in fitting.items()}
    return Solved(groups=groups, residual=letter, exchanges=count, metrics=metrics)


def open_sums(session: Session, request: OpenRequest) -> Shown:
    """Open the bank's shares of the residual's sums, once for each residual, and show them."""
    solving, owner = session.state(Solving), owner_of(session)
    fitting = session.store.read(Groupings).fitting
    check_names("sums", request.sums, fitting)
    shares = [
        owner.share(
            request.sums[party].read(EncryptedSums).sums, solving.ticket, evidence.grouping.counts + 1
        )
        for party, evidence in fitting.items()
    ]
    session.keep(Solving(state=solving.state, pads=solving.pads, ticket={}))
    return Shown(solving.pads.shown(np.concatenate(shares)))


def pass_on(session: Session, request: PassRequest) -> Opened:
    """Tell each passive party the total of the shares of its sums."""
    solving, fitting = session.state(Solving), session.store.read(Groupings).fitting
    total, pads = solving.pads.read(request.total)
    sizes = [_sums_of(evidence.grouping.counts) for evidence in fitting.values()]
    check_length(total, sum(sizes))
    rows = session.store.read(Common).training
    ranges = residual_ranges(session.config.section(ScorecardConfig))
    shares = zip(fitting, np.split(total, np.cumsum(sizes)[:-1]), strict=True)
    session.keep(Solving(state=solving.state, pads=pads, ticket={}))
    return Opened(
        {party: Letter.of(OpenedSums({TOTAL: added([share], rows, ranges)})) for party, share in shares}
    )


def solve(session: Session, request: SolveRequest) -> Shown:
    """Take in the parties' steps, and add what the bank has where all of them go."""
    solving = session.state(Solving)
    scores, products = steps_of(session, request.steps, len(solving.state.products) + 1)
    solver = _solver(session)
    return _show(session, solver, solver.stepped(solving.state, scores, products), solving.pads)


def score(session: Session, request: ScoreRequest) -> Shown:
    """Score all rows, and show how many test rows have which score, and what partners gave the training rows."""
    trained, groupings = session.state(Trained), session.store.read(Groupings)
    told = read_told(groupings, request.cards, request.points)
    rows = score_told(session, trained.weights, told)
    training, labels = read_setup(session).roles == TRAIN, training_labels(session)
    points = [given(points.points[training], labels) for _, points in told.values()]
    expected = [by_card(card, groupings.passive[party]) for party, (card, _) in told.items()]
    scored = keep_trained(session, trained.weights, told, rows)
    outside = Outside(pads=trained.pads, evaluation=scored.evaluation)
    session.keep(Scoring(outside, np.array(expected, np.int64).reshape(-1, 2)))
    return Shown(trained.pads.shown(np.concatenate([*points, row_counts(tested(session)[0])])))


def cut(session: Session, request: CutRequest) -> Shown:
    """Show the goods and bads of the test rows by common bins of the score, if all partners kept to their cards."""
    scoring, fitting = session.state(Scoring), session.store.read(Groupings).fitting
    total, pads = scoring.outside.pads.read(request.total)
    points, counts = np.split(total, [scoring.expected.size])
    for party, of_party, expected in zip(fitting, points.reshape(-1, 2), scoring.expected, strict=True):
        check_applied(party, of_party, expected)
    return show_outcomes(session, scoring.outside, counts, pads)


def judge(session: Session, request: JudgeRequest) -> Judged:
    """How the model does on the bank's own test rows, and on those of all banks."""
    return judged(session, request.total)


def _show(session: Session, solver: Solver, state: State, pads: Pads) -> Shown:
    """Show what is added next for the banks' weights, and keep the state."""
    session.keep(Solving(state=state, pads=pads, ticket={}))
    return Shown(pads.shown(solver.addend(state)))


def _solver(session: Session) -> Solver:
    setup, groupings = read_setup(session), session.store.read(Groupings)
    config, common = session.config.section(ScorecardConfig), session.store.read(Common)
    coverage = {party: known[setup.positions] for party, known in read_coverage(session.study).items()}
    return Solver(
        regression=regression_of(groupings.columns, common.labels, config),
        design=one_hot(groupings.of_rows(setup.codes, coverage), groupings.columns.whole.counts),
        labels=learned_labels(session),
        training=setup.training,
        parties=len(groupings.fitting),
        config=config,
    )


def _grid(session: Session) -> Grid:
    return Grid(read_schema(session), special=True)


def _by_label(labels: NDArray[np.int8]) -> Integers:
    """Goods and bads (2,)."""
    return np.bincount(labels, minlength=2)


def _sums_of(bins: Integers) -> int:
    """How many sums a party makes: of each column those of its bins or groups, and of the rows that are unknown."""
    return int((bins + 1).sum())
