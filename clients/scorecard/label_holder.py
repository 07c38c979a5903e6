"""What the bank does in the scorecard: it has labels, so it groups bins, encrypts residuals and says where to go."""

from collections.abc import Mapping
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications, read_coverage, read_table
from clients.binned import Setup, read_setup
from clients.scorecard.card import keep_card, keep_points_table, without_values
from clients.scorecard.model import (
    EVIDENCE,
    PARTIES,
    bank_columns,
    bank_groups,
    fitting,
    party_names,
    total,
)
from clients.scorecard.shares import bin_columns, demanded, group_values, texts
from clients.session import Session
from fl.arrays import check_integers, check_names, check_numbers
from fl.binning import Shape
from fl.encrypted_sums import Owner, new_owner, restore_owner
from fl.errors import ProtocolError
from fl.nesting import nested, of_party
from fl.scorecard import (
    Array,
    BeginRequest,
    Begun,
    GroupRequest,
    Opened,
    OpenRequest,
    ScoreRequest,
    Solved,
    SolveRequest,
)
from fl.scorecard.bank import BankColumns, BankPoints
from fl.scorecard.card import (
    Card,
    Share,
    check_applied,
    check_told,
    share_of_rows,
    told_by_bank,
    with_coverage,
)
from fl.scorecard.design import Design
from fl.scorecard.grouping import Evidence, Grouping
from fl.scorecard.grouping import group as grouped
from fl.scorecard.points import Scale
from fl.scorecard.solver import Next, Solver, State
from fl.scorecard.values import EXACT
from fl.scoring import Scored
from fl.splits import TRAIN

_SECRET, _STATE, _TICKET = "secret_key", "state/", "ticket/"


def begin(session: Session, request: BeginRequest) -> Begun:
    """Bin the own columns, make a key, and encrypt the labels."""
    check_names("parties", request.parties, read_coverage(session.study))
    check_names("counts", request.counts, request.parties)
    setup, config = bin_columns(session, request.seed, request.roles), session.config.scorecard
    kept: dict[str, Array] = {}
    for number, (name, known) in enumerate(
        zip(request.parties, _known(session, request.parties), strict=True)
    ):
        shape = Shape.from_arrays(of_party(request.shapes, number))
        counts, rows = request.counts[name], int(known[setup.positions[setup.training]].sum())
        check_integers(f"counts of {name}", counts, int(shape.bins.sum()), 0, rows + 1)
        if any(part.sum() != rows for part in np.split(counts, np.cumsum(shape.bins)[:-1]) if len(shape)):
            raise ProtocolError(
                f"the counts of each column of {name} must add up to the {rows} rows that it knows"
            )
        kept |= {f"{number}/{key}": array for key, array in shape.to_arrays().items()}
        kept[f"counts/{number}"] = counts.astype(np.int64)
    session.store.write(PARTIES, {"names": np.array(request.parties, np.str_), **kept})
    if not request.parties:
        return Begun({}, {})
    unit = 1 << config.precision
    owner = new_owner(config.encryption, int(setup.training.sum()), ((-unit, unit),))
    session.store.write(_SECRET, owner.secret())
    labels = _labels(session, setup)[setup.training].astype(np.int64)
    shapes = [Shape.from_arrays(of_party(kept, number)) for number in range(len(request.parties))]
    encrypted, ticket = owner.encrypt(labels[:, None], _offsets(labels), [shape.bins + 1 for shape in shapes])
    session.state = {_TICKET + name: array for name, array in ticket.items()}
    return Begun(owner.public_key(), encrypted)


def group(session: Session, request: GroupRequest) -> Solved:
    """Open the labels' sums, group all bins by them, and solve the own columns alone."""
    setup, config = read_setup(session), session.config.scorecard
    kept = session.store.read(PARTIES)
    names = [str(name) for name in kept["names"]]
    labels = _labels(session, setup)[setup.training]
    own = Design(setup.codes[setup.training], setup.binning.shape.bins)
    bads = own.totals(labels.astype(np.float64)).astype(np.int64)
    goods = own.totals(np.ones(len(labels))).astype(np.int64) - bads
    found = [grouped(demanded(setup.binning.shape, config), goods, bads, config)]
    for number, (name, known) in enumerate(zip(names, _known(session, names), strict=True)):
        shape = Shape.from_arrays(of_party(kept, number))
        seen = known[setup.positions[setup.training]]
        sums = _owner(session).decrypt(
            of_party(request.sums, number), _section(session.state, _TICKET), shape.bins + 1
        )
        bads, counts = _checked_bads(name, sums, labels, seen), kept[f"counts/{number}"]
        if (bads > counts).any():
            raise ProtocolError(f"the counts of {name} leave too few rows in a bin")
        found.append(grouped(demanded(shape, config), counts - bads, bads, config))
    learned = setup.positions[setup.training]
    bank = BankColumns.of(found[0].grouping, [known[learned] for known in _known(session, names)])
    evidence_of_all = {
        f"{number}/{name}": array
        for number, evidence in enumerate(found)
        for name, array in evidence.to_arrays().items()
    }
    session.store.write(EVIDENCE, {**evidence_of_all, "covered": bank.parties})
    state, following = _solver(session, setup).begin()
    groups = {name: evidence.grouping.groups for name, evidence in zip(names, found[1:], strict=True)}
    return _reply(session, setup, state, following, groups)


def open_sums(session: Session, request: OpenRequest) -> Opened:
    """Decrypt what the parties' masks hide."""
    read_setup(session)
    ticket = _section(session.state, _TICKET)
    if not ticket:
        raise ProtocolError("nothing is encrypted at this time")
    owner, opened = _owner(session), {}
    for number, (name, grouping) in enumerate(_fitting(session).items()):
        sums = of_party(request.sums, number)
        opened[name] = owner.open_masked(sums, ticket, grouping.counts + 1)
    return Opened(nested(opened, tuple(opened)))


def solve(session: Session, request: SolveRequest) -> Solved:
    """Take in the parties' steps, solve the own block there, and say where to go."""
    setup, names = read_setup(session), list(_fitting(session))
    arrays = _section(session.state, _STATE)
    if not arrays or bool(arrays["finished"]):
        raise ProtocolError("training has not begun, or has ended")
    state = State.from_arrays(arrays)
    check_names("scores", request.scores, names)
    check_names("products", request.products, names)
    rows, count = len(setup.positions), len(state.products) + 1
    scores, products = np.zeros(rows), np.zeros(count)
    for name, known in zip(names, _known(session, names), strict=True):
        seen = known[setup.positions]
        check_numbers(f"scores of {name}", request.scores[name], (int(seen.sum()),), np.float64)
        check_numbers(f"products of {name}", request.products[name], (count,), np.float64)
        partial = np.zeros(rows)
        partial[seen] = request.scores[name]
        scores += partial
        products += request.products[name]
    return _reply(session, setup, *_solver(session, setup).advance(state, scores, products), {})


def score(session: Session, request: ScoreRequest) -> Scored:
    """The score of every position, with its reasons, and its PD, kept here; their evaluation on the test rows."""
    setup, config, model = read_setup(session), session.config.scorecard, session.store
    arrays = _section(session.state, _STATE)
    if not arrays or not bool(arrays["finished"]):
        raise ProtocolError("training has not ended")
    state = State.from_arrays(arrays)
    groupings, parties, kept = fitting(model, config), party_names(model), model.read(EVIDENCE)
    table, coverage = read_table(session.study), read_coverage(session.study)
    rows = {name: of_party(request.rows, number) for number, name in enumerate(groupings)}
    bank = bank_columns(model, config)
    points = BankPoints.of(bank, state.weights, state.alone, Scale.of(config))
    totals = total(model, points, table, coverage, rows, config)
    own = session.party.declaration.name
    labels = read_applications(session.study).labels
    groups = bank_groups(model, table, coverage, config)
    own_values, own_texts = group_values(session, bank.grouping), texts(session, bank.grouping.columns)
    finished = told_by_bank(points.table, bank, groups, setup.roles, own_values, own_texts, parties)
    training = setup.roles == TRAIN
    applicants = share_of_rows(groups[training], bank.counts)
    exact = with_coverage(group_values(session, bank.grouping, EXACT), bank)
    keep_points_table(session, points.table, exact, applicants, parties, points.alone_table)
    finished = without_values(session, finished)
    information = kept["0/information"]
    shares = [Share.of_bank(own, finished, bank, points, groups[training], labels[training], information)]
    for number, (name, grouping) in enumerate(groupings.items()):
        finished = check_told(name, of_party(request.columns, number), grouping)
        evidence = Evidence.from_arrays(grouping.shape, of_party(kept, 1 + parties.index(name)))
        check_applied(name, finished, evidence, rows[name]["points"][training], labels[training])
        shares.append(Share.of_passive(name, finished, evidence))
    return keep_card(session, Card(shares), totals, points, state, setup.roles)


def _reply(
    session: Session, setup: Setup, state: State, following: Next, groups: Mapping[str, Array]
) -> Solved:
    """Keep the state and put what follows in a message."""
    encrypted: Mapping[str, Array] = {}
    ticket: Mapping[str, Array] = {}
    if not state.finished:
        counts = [grouping.counts + 1 for grouping in _fitting(session).values()]
        values = following.residual[:, None]
        encrypted, ticket = _owner(session).encrypt(values, _offsets(values), counts)
    else:
        # Whoever kept the ciphertexts shall not be able to have them opened later.
        session.store.remove(_SECRET)
    session.state = {
        **{_STATE + name: array for name, array in state.to_arrays().items()},
        **{_TICKET + name: array for name, array in ticket.items()},
    }
    exchanges = len(state.products)
    return Solved(state.finished, groups, following.mix, encrypted, exchanges, *astuple(following.look))


def _checked_bads(
    name: str, sums: list[NDArray[np.int64]], labels: NDArray[np.int8], known: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The bads of each bin in a party's sums, whose columns end with those of the rows that it does not know."""
    parts = [part[0, :, 0] for part in sums]
    total, unknown = int(labels.sum()), int(labels[~known].sum())
    for part in parts:
        if part.min() < 0 or part.sum() != total or part[-1] != unknown:
            raise ProtocolError(f"the sums of {name} are not those of its labels: its bins have changed")
    return np.concatenate([np.empty(0, np.int64), *(part[:-1] for part in parts)])


def _solver(session: Session, setup: Setup) -> Solver:
    bank = bank_columns(session.store, session.config.scorecard)
    known = [rows[setup.positions] for rows in _known(session, party_names(session.store))]
    groups, labels = bank.transform(setup.codes, known), _labels(session, setup)
    return bank.solver(groups, labels, setup.training, len(_fitting(session)), session.config.scorecard)


def _fitting(session: Session) -> dict[str, Grouping]:
    return fitting(session.store, session.config.scorecard)


def _known(session: Session, names: tuple[str, ...] | list[str]) -> list[NDArray[np.bool_]]:
    """Which positions each of these parties knows."""
    coverage = read_coverage(session.study)
    return [coverage[name] for name in names]


def _labels(session: Session, setup: Setup) -> NDArray[np.int8]:
    return read_applications(session.study).labels[setup.positions]


def _owner(session: Session) -> Owner:
    return restore_owner(session.config.scorecard.encryption, session.store.read(_SECRET))


def _offsets(rows: Array) -> NDArray[np.int64]:
    return np.array([0, len(rows)], np.int64)


def _section(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
