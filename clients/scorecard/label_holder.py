"""What the bank does in the scorecard: it has labels, so it groups bins, encrypts residuals and says where to go."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications, read_coverage, read_table
from clients.binned import Setup, read_setup
from clients.scorecard.card import keep_card, tell_columns
from clients.scorecard.columns import LABEL_RANGES, bin_columns, demanded, one_group, residual_ranges
from clients.scorecard.model import BankWeights, Groupings, score_rows
from clients.session import Session
from fl.arrays import check_integers, check_names, check_numbers
from fl.config.scorecard import ScorecardConfig
from fl.encrypted_sums import Owner, Sums, new_owner, restore_owner
from fl.errors import ProtocolError
from fl.evaluation import Scored
from fl.messages import Letter
from fl.records import Array
from fl.scorecard import (
    BeginRequest,
    Begun,
    BinnedColumns,
    Card,
    EncryptedSums,
    Ended,
    Grouped,
    GroupRequest,
    Groups,
    Labels,
    Opened,
    OpenedSums,
    OpenRequest,
    Points,
    Residual,
    ScoreRequest,
    Solved,
    SolveRequest,
    Step,
)
from fl.scorecard.bank import BankColumns
from fl.scorecard.card import Share, check_applied, check_card
from fl.scorecard.design import by_column
from fl.scorecard.grouping import check_columns, group_by_labels
from fl.scorecard.grouping import group as group_columns
from fl.scorecard.solver import Next, Solver, State
from fl.splits import TRAIN

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class OwnerKey:
    """The secret half of the bank's key for residuals: `Owner.secret()`."""

    secret: Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class Counting:
    """What the bank remembers while passive parties add up labels.

    columns are theirs; secret is that of the labels' key, and ticket that of the labels: both serve one opening.
    """

    columns: Mapping[str, BinnedColumns]
    secret: Mapping[str, Array]
    ticket: Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class Exchanging:
    """What the bank remembers during an exchange.

    state says how far it is; ticket is that of the residual, empty once the parties' sums of it have been opened.
    """

    state: State
    ticket: Mapping[str, Array]


def begin(session: Session, request: BeginRequest) -> Begun:
    """Bin the bank's columns, make keys, and encrypt the labels."""
    check_names("columns", request.columns, read_coverage(session.study))
    setup, config = bin_columns(session, request.seed, request.split), session.config.section(ScorecardConfig)
    coverage = _training_coverage(session, setup)
    columns = {party: letter.read(BinnedColumns) for party, letter in request.columns.items()}
    for party, binned in columns.items():
        _check_counts(party, binned, int(coverage[party].sum()))
    told, counting = (
        Labels(label_key={}, residual_key={}, encrypted={}),
        Counting(columns=columns, secret={}, ticket={}),
    )
    if columns:
        rows = int(setup.training.sum())
        of_labels, of_residuals = (
            new_owner(config.encryption, rows, ends) for ends in (LABEL_RANGES, residual_ranges(config))
        )
        session.store.keep(OwnerKey(of_residuals.secret()))
        labels = _labels(session, setup)[setup.training].astype(np.int64)
        counts = [binned.shape.bins + 1 for binned in columns.values()]
        encrypted, ticket = of_labels.encrypt(labels[:, None], one_group(labels), counts)
        counting = Counting(columns=columns, secret=of_labels.secret(), ticket=ticket)
        told = Labels(
            label_key=of_labels.public_key(), residual_key=of_residuals.public_key(), encrypted=encrypted
        )
    session.keep(counting)
    return Begun(Letter.of(told))


def group(session: Session, request: GroupRequest) -> Grouped | Ended:
    """Decrypt the labels' sums, group all bins by them, and solve the bank's columns alone."""
    setup, counting = read_setup(session), session.state(Counting)
    check_names("sums", request.sums, counting.columns)
    config, coverage = session.config.section(ScorecardConfig), _training_coverage(session, setup)
    shape, labels = demanded(setup.binning.shape, config), _labels(session, setup)[setup.training]
    of_bank = group_by_labels(shape, setup.codes[setup.training], labels, config, protected=False)
    passive = {}
    for party, columns in counting.columns.items():
        owner = restore_owner(config.encryption, counting.secret)
        encrypted = request.sums[party].read(EncryptedSums).sums
        sums = owner.decrypt(encrypted, counting.ticket, columns.shape.bins + 1)
        bads = _checked_bads(party, sums, labels, coverage[party])
        goods = columns.counts.astype(np.int64) - bads
        if (goods < 0).any():
            raise ProtocolError(f"the counts of {party} leave too few rows in a bin")
        passive[party] = group_columns(demanded(columns.shape, config), goods, bads, config)
    check_columns(of_bank, [evidence.grouping for evidence in passive.values()], config)
    groupings = Groupings(
        bank=session.declaration.name,
        columns=BankColumns.of(of_bank.grouping, {party: coverage[party] for party in passive}),
        information=of_bank.information,
        passive=passive,
    )
    session.store.keep(groupings)
    state, following = _solver(session, setup, groupings).begin()
    if state.finished:
        return _end(session, state, following)
    groups = {
        party: Letter.of(Groups(evidence.grouping.groups)) for party, evidence in groupings.fitting.items()
    }
    return Grouped(groups=groups, residual=_residual(session, groupings, state, following))


def open_sums(session: Session, request: OpenRequest) -> Opened:
    """Decrypt what the parties' masks hide, once for each residual."""
    exchanging, owner = session.state(Exchanging), _owner(session)
    fitting = session.store.read(Groupings).fitting
    check_names("sums", request.sums, fitting)
    opened = {}
    for party, letter in request.sums.items():
        sums, counts = letter.read(EncryptedSums).sums, fitting[party].grouping.counts + 1
        opened[party] = Letter.of(OpenedSums(owner.open_masked(sums, exchanging.ticket, counts)))
    session.keep(replace(exchanging, ticket={}))
    return Opened(opened)


def solve(session: Session, request: SolveRequest) -> Solved | Ended:
    """Take in the parties' steps, solve the bank's own block there, and say where to go."""
    setup, state = read_setup(session), session.state(Exchanging).state
    groupings = session.store.read(Groupings)
    check_names("steps", request.steps, groupings.fitting)
    count = len(state.products) + 1
    scores, products = np.zeros(len(setup.positions)), np.zeros(count)
    for party in groupings.fitting:
        step = request.steps[party].read(Step)
        known = read_coverage(session.study)[party][setup.positions]
        check_numbers(f"scores of {party}", step.scores, (int(known.sum()),), np.float64)
        check_numbers(f"products of {party}", step.products, (count,), np.float64)
        scores[known] += step.scores
        products += step.products
    state, following = _solver(session, setup, groupings).advance(state, scores, products)
    if state.finished:
        return _end(session, state, following)
    return Solved(residual=_residual(session, groupings, state, following), progress=following.progress)


def score(session: Session, request: ScoreRequest) -> Scored:
    """Keep the score of every position, with its reasons, and its PD; evaluate those of the test rows."""
    setup, weights, groupings = read_setup(session), session.state(BankWeights), session.store.read(Groupings)
    check_names("cards", request.cards, groupings.fitting)
    table, coverage = read_table(session.study), read_coverage(session.study)
    labels, training = read_applications(session.study).labels, setup.roles == TRAIN
    told = {party: letter.read(Points) for party, letter in request.points.items()}
    rows = score_rows(session.store, weights, table, coverage, told, session.config)
    points = weights.points(groupings.columns, session.config)
    groups = groupings.of_rows(setup.binning.transform(table), coverage)
    columns, alone = groupings.columns, points.alone_table
    card = tell_columns(
        session, table, points.table, columns.grouping, groups, setup.roles, columns.covered, alone
    )
    shares = [
        Share.of_bank(
            groupings.bank, card, columns, points, groups[training], labels[training], groupings.information
        )
    ]
    for party, evidence in groupings.fitting.items():
        card = request.cards[party].read(Card)
        check_card(party, card, evidence.grouping)
        check_applied(party, card, evidence, told[party].points[training], labels[training])
        shares.append(Share.of_passive(party, card, evidence))
    return keep_card(session, shares, rows, points, weights, setup.roles)


def _residual(session: Session, groupings: Groupings, state: State, following: Next) -> Letter[Residual]:
    """Encrypt the next residual, and remember how far training is."""
    counts = [evidence.grouping.counts + 1 for evidence in groupings.fitting.values()]
    values = following.residual[:, None]
    encrypted, ticket = _owner(session).encrypt(values, one_group(values), counts)
    session.keep(Exchanging(state=state, ticket=ticket))
    return Letter.of(Residual(mix=following.mix, encrypted=encrypted))


def _end(session: Session, state: State, following: Next) -> Ended:
    """End the training: from here on nobody who kept ciphertexts can have them decrypted."""
    session.store.remove(OwnerKey)
    session.keep(BankWeights(joint=state.weights, alone=state.alone))
    return Ended(following.progress)


def _check_counts(party: str, columns: BinnedColumns, rows: int) -> None:
    """Raises ProtocolError unless each column's counts add up to the training rows that the party knows."""
    bins = columns.shape.bins
    check_integers(f"counts of {party}", columns.counts, int(bins.sum()), 0, rows + 1)
    if any(part.sum() != rows for part in by_column(columns.counts, bins)):
        raise ProtocolError(
            f"the counts of each column of {party} must add up to the {rows} rows that it knows"
        )


def _checked_bads(party: str, sums: Sums, labels: NDArray[np.int8], known: Flags) -> NDArray[np.int64]:
    """The bads of each bin in a party's sums, whose columns end with those of the rows that it does not know."""
    parts = [part[0, :, 0] for part in sums]
    total, unknown = int(labels.sum()), int(labels[~known].sum())
    for part in parts:
        if part.min() < 0 or part.sum() != total or part[-1] != unknown:
            raise ProtocolError(f"the sums of {party} are not those of its labels: its bins have changed")
    return np.concatenate([np.empty(0, np.int64), *(part[:-1] for part in parts)])


def _solver(session: Session, setup: Setup, groupings: Groupings) -> Solver:
    coverage = {party: known[setup.positions] for party, known in read_coverage(session.study).items()}
    groups, labels = groupings.of_rows(setup.codes, coverage), _labels(session, setup)
    config = session.config.section(ScorecardConfig)
    return groupings.columns.solver(groups, labels, setup.training, len(groupings.fitting), config)


def _training_coverage(session: Session, setup: Setup) -> dict[str, Flags]:
    """Which training rows each passive party knows."""
    rows = setup.positions[setup.training]
    return {party: known[rows] for party, known in read_coverage(session.study).items()}


def _labels(session: Session, setup: Setup) -> NDArray[np.int8]:
    return read_applications(session.study).labels[setup.positions]


def _owner(session: Session) -> Owner:
    encryption = session.config.section(ScorecardConfig).encryption
    return restore_owner(encryption, session.store.read(OwnerKey).secret)
