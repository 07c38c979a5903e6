"""What the bank does in the scorecard: it has labels, so it groups bins, encrypts residuals and says where to go."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications, read_coverage, read_table
from clients.binned import Setup, read_setup
from clients.scorecard.card import keep_card, tell_columns
from clients.scorecard.columns import LABEL_RANGES, bin_columns, demanded, one_group, residual_ranges
from clients.scorecard.model import BankWeights, Groupings, ScoredRows, score_rows
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
from fl.scorecard.card import Share, by_card, check_applied, check_card, given
from fl.scorecard.design import Floats, Integers, by_column
from fl.scorecard.grouping import Evidence, check_columns, group_by_labels
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
    setup = bin_columns(session, request.seed, request.split)
    coverage = training_coverage(session, setup)
    columns = {party: letter.read(BinnedColumns) for party, letter in request.columns.items()}
    for party, binned in columns.items():
        check_counts(party, binned, int(coverage[party].sum()))
    told, counting = (
        Labels(label_key={}, residual_key={}, encrypted={}),
        Counting(columns=columns, secret={}, ticket={}),
    )
    if columns:
        told, counting = encrypt_labels(session, int(setup.training.sum()), columns)
    session.keep(counting)
    return Begun(Letter.of(told))


def group(session: Session, request: GroupRequest) -> Grouped | Ended:
    """Decrypt the labels' sums, group all bins by them, and solve the bank's columns alone."""
    setup, counting = read_setup(session), session.state(Counting)
    check_names("sums", request.sums, counting.columns)
    config, coverage = session.config.section(ScorecardConfig), training_coverage(session, setup)
    shape, labels = demanded(setup.binning.shape, config), training_labels(session)
    of_bank = group_by_labels(shape, setup.codes[setup.training], labels, config, protected=False)
    passive = {}
    for party, columns in counting.columns.items():
        owner = restore_owner(config.encryption, counting.secret)
        encrypted = request.sums[party].read(EncryptedSums).sums
        sums = owner.decrypt(encrypted, counting.ticket, columns.shape.bins + 1)
        unknown = int(labels[~coverage[party]].sum())
        passive[party] = group_passive(party, columns, sums, int(labels.sum()), unknown, config)
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
    exchanging, owner = session.state(Exchanging), owner_of(session)
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
    scores, products = steps_of(session, request.steps, len(state.products) + 1)
    state, following = _solver(session, setup, groupings).advance(state, scores, products)
    if state.finished:
        return _end(session, state, following)
    return Solved(residual=_residual(session, groupings, state, following), progress=following.progress)


def score(session: Session, request: ScoreRequest) -> Scored:
    """Keep the score of every position, with its reasons, and its PD; evaluate those of the test rows."""
    weights, groupings = session.state(BankWeights), session.store.read(Groupings)
    told = read_told(groupings, request.cards, request.points)
    rows, training = score_told(session, weights, told), read_setup(session).roles == TRAIN
    for party, (card, points) in told.items():
        got = given(points.points[training], training_labels(session))
        check_applied(party, got, by_card(card, groupings.passive[party]))
    return keep_trained(session, weights, told, rows)


def read_told(
    groupings: Groupings, cards: Mapping[str, Letter[Card]], points: Mapping[str, Letter[Points]]
) -> dict[str, tuple[Card, Points]]:
    """What each passive party that fits says of its columns, and of every position. Raises ProtocolError for others."""
    check_names("cards", cards, groupings.fitting)
    check_names("points", points, groupings.fitting)
    told = {party: (cards[party].read(Card), points[party].read(Points)) for party in groupings.fitting}
    for party, (card, _) in told.items():
        check_card(party, card, groupings.fitting[party].grouping)
    return told


def score_told(session: Session, weights: BankWeights, told: Mapping[str, tuple[Card, Points]]) -> ScoredRows:
    """The scores of all rows; told is `read_told`. Raises ProtocolError for points that cannot be."""
    table, coverage = read_table(session.study), read_coverage(session.study)
    contributions = {party: points for party, (_, points) in told.items()}
    return score_rows(session.store, weights, table, coverage, contributions, session.config)


def keep_trained(
    session: Session, weights: BankWeights, told: Mapping[str, tuple[Card, Points]], rows: ScoredRows
) -> Scored:
    """Keep the trained scorecard, and evaluate it on the bank's test rows."""
    setup, groupings = read_setup(session), session.store.read(Groupings)
    table, coverage = read_table(session.study), read_coverage(session.study)
    labels, training = read_applications(session.study).labels, setup.roles == TRAIN
    points = weights.points(groupings.columns, session.config)
    groups = groupings.of_rows(setup.binning.transform(table), coverage)
    columns, alone = groupings.columns, points.alone_table
    card = tell_columns(
        session, table, points.table, columns.grouping, groups, setup.roles, columns.covered, alone
    )
    shares = [
        Share.of_bank(
            groupings.bank, card, columns, points, groups[training], labels[training], groupings.information
        ),
        *(Share.of_passive(party, card, groupings.passive[party]) for party, (card, _) in told.items()),
    ]
    return keep_card(session, shares, rows, points, weights, setup.roles)


def encrypt_labels(
    session: Session, rows: int, columns: Mapping[str, BinnedColumns]
) -> tuple[Labels, Counting]:
    """The labels of the training rows under fresh keys for so many rows, and what is to be remembered of them."""
    config, labels = session.config.section(ScorecardConfig), training_labels(session).astype(np.int64)
    of_labels, of_residuals = (
        new_owner(config.encryption, rows, ends) for ends in (LABEL_RANGES, residual_ranges(config))
    )
    session.store.keep(OwnerKey(of_residuals.secret()))
    counts = [binned.shape.bins + 1 for binned in columns.values()]
    encrypted, ticket = of_labels.encrypt(labels[:, None], one_group(labels), counts)
    told = Labels(
        label_key=of_labels.public_key(), residual_key=of_residuals.public_key(), encrypted=encrypted
    )
    return told, Counting(columns=columns, secret=of_labels.secret(), ticket=ticket)


def steps_of(session: Session, steps: Mapping[str, Letter[Step]], count: int) -> tuple[Floats, Floats]:
    """Partial scores (n,) of rows that train or validate, and inner products (count,), summed over passive parties."""
    setup, fitting = read_setup(session), session.store.read(Groupings).fitting
    check_names("steps", steps, fitting)
    scores, products = np.zeros(len(setup.positions)), np.zeros(count)
    for party in fitting:
        step = steps[party].read(Step)
        known = read_coverage(session.study)[party][setup.positions]
        check_numbers(f"scores of {party}", step.scores, (int(known.sum()),), np.float64)
        check_numbers(f"products of {party}", step.products, (count,), np.float64)
        scores[known] += step.scores
        products += step.products
    return scores, products


def encrypt_residual(
    session: Session, groupings: Groupings, mix: Floats, residual: Integers
) -> tuple[Letter[Residual], Mapping[str, Array]]:
    """The residual (n,) of the training rows, encrypted, at a point of the passive parties; and its ticket."""
    counts = [evidence.grouping.counts + 1 for evidence in groupings.fitting.values()]
    values = residual[:, None]
    encrypted, ticket = owner_of(session).encrypt(values, one_group(values), counts)
    return Letter.of(Residual(mix=mix, encrypted=encrypted)), ticket


def end_training(session: Session, joint: Floats, alone: Floats) -> BankWeights:
    """The final weights; from here on nobody who kept ciphertexts can have them decrypted."""
    session.store.remove(OwnerKey)
    return BankWeights(joint=joint, alone=alone)


def _residual(session: Session, groupings: Groupings, state: State, following: Next) -> Letter[Residual]:
    """Encrypt the next residual, and remember how far training is."""
    letter, ticket = encrypt_residual(session, groupings, following.mix, following.residual)
    session.keep(Exchanging(state=state, ticket=ticket))
    return letter


def _end(session: Session, state: State, following: Next) -> Ended:
    session.keep(end_training(session, state.weights, state.alone))
    return Ended(following.progress)


def check_counts(party: str, columns: BinnedColumns, rows: int) -> None:
    """Raises ProtocolError unless each column's counts add up to the training rows that the party knows."""
    bins = columns.shape.bins
    check_integers(f"counts of {party}", columns.counts, int(bins.sum()), 0, rows + 1)
    if any(part.sum() != rows for part in by_column(columns.counts, bins)):
        raise ProtocolError(
            f"the counts of each column of {party} must add up to the {rows} rows that it knows"
        )


def group_passive(
    party: str, columns: BinnedColumns, sums: Sums, total: int, unknown: int, config: ScorecardConfig
) -> Evidence:
    """Groups of a party's columns by the bads in each bin, and in the rows that it does not know, of each column.

    total and unknown are how many bads there are in all and among those rows. Raises ProtocolError for other sums.
    """
    parts = [part[0, :, 0] for part in sums]
    for part in parts:
        if part.min() < 0 or part.sum() != total or part[-1] != unknown:
            raise ProtocolError(f"the sums of {party} are not those of its labels: its bins have changed")
    bads = np.concatenate([np.empty(0, np.int64), *(part[:-1] for part in parts)])
    goods = columns.counts.astype(np.int64) - bads
    if (goods < 0).any():
        raise ProtocolError(f"the counts of {party} leave too few rows in a bin")
    return group_columns(demanded(columns.shape, config), goods, bads, config)


def _solver(session: Session, setup: Setup, groupings: Groupings) -> Solver:
    coverage = {party: known[setup.positions] for party, known in read_coverage(session.study).items()}
    groups, labels = groupings.of_rows(setup.codes, coverage), learned_labels(session)
    config = session.config.section(ScorecardConfig)
    return groupings.columns.solver(groups, labels, setup.training, len(groupings.fitting), config)


def training_coverage(session: Session, setup: Setup) -> dict[str, Flags]:
    """Which training rows each passive party knows."""
    rows = setup.positions[setup.training]
    return {party: known[rows] for party, known in read_coverage(session.study).items()}


def learned_labels(session: Session) -> NDArray[np.int8]:
    """Of the rows that train or validate."""
    return read_applications(session.study).labels[read_setup(session).positions]


def training_labels(session: Session) -> NDArray[np.int8]:
    """Of the rows that train."""
    return learned_labels(session)[read_setup(session).training]


def owner_of(session: Session) -> Owner:
    """Who holds the key for residuals."""
    encryption = session.config.section(ScorecardConfig).encryption
    return restore_owner(encryption, session.store.read(OwnerKey).secret)
