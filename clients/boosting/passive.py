"""What a passive party does in boosting: bins its columns, makes its splits, adds up what it cannot read."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.boosting.rows import Setup, read_setup, set_up
from clients.boosting.scoring import keep_splits
from clients.session import Session
from clients.store import Store
from fl.arrays import check_bytes, check_integers
from fl.boosting import (
    ANOTHER,
    NOBODY,
    THE_BANK,
    YOU,
    Array,
    Finished,
    FinishRequest,
    Grown,
    GrowRequest,
    Started,
    StartRequest,
    Summed,
    SumRequest,
    packed,
    unpacked,
)
from fl.boosting.bins import UNKNOWN
from fl.boosting.forest import Splits
from fl.boosting.gradients import sampled_columns, sampled_rows
from fl.boosting.layouts import NOWHERE, Layout, children, level_layout, tree_layout
from fl.boosting.search import allowed, histogram
from fl.config import BoostingConfig
from fl.encrypted_sums import Responder, new_responder
from fl.errors import ProtocolError

Flags = NDArray[np.bool_]

_KEY, _SENT = "public_key", "sent/"
_NOTHING = np.empty(0, np.uint8)


def start(session: Session, request: StartRequest) -> Started:
    """Bin the own columns."""
    setup = set_up(session, request.seed, request.roles)
    session.state = _state(Splits.none(), _at_root(setup))
    return Started(setup.binning.shape.to_arrays())


def grow(session: Session, request: GrowRequest) -> Grown:
    """Make the own splits, and the sums for the next ones unless another party's splits must be known first."""
    setup = read_setup(session)
    rows, nodes = len(setup.positions), session.state["nodes"]
    _check_demand(request, setup, session.state, session.config.boosting)
    if session.envelope.step == 2:
        session.store.write(_KEY, request.public_key)
    new = Splits(request.columns, request.left)
    outcomes = new.outcomes(setup.codes)
    left = unpacked(request.bank_left, rows)
    members = np.zeros(rows, bool)
    for node, outcome in zip(np.flatnonzero(request.owners == YOU), outcomes, strict=True):
        members |= (nodes == node) & outcome
    left |= members
    splits = _splits(session).plus(new)
    session.state = {
        **session.state,
        "columns": splits.columns,
        "left": splits.left,
        "owners": request.owners,
        "lighter_left": request.lighter_left,
        "way": left,
        "ahead": np.array(request.ahead),
        "tree": np.array(request.tree),
    }
    sums: Mapping[str, Array] = {}
    candidates = _NOTHING
    if not request.wanted:
        session.state = _state(splits, _at_root(setup) if request.ahead else nodes) | _sent(session.state)
    elif not (request.owners == ANOTHER).any():
        sums, candidates = _answer(session, setup, left, request.encrypted)
    return Grown(packed(outcomes), packed(members), sums, candidates)


def add_up(session: Session, request: SumRequest) -> Summed:
    """The sums, now that it is known where all rows went."""
    setup = read_setup(session)
    check_bytes("members", request.members, (len(packed(setup.training)),))
    if "way" not in session.state or not (session.state["owners"] == ANOTHER).any():
        raise ProtocolError("these sums have not been announced")
    left = session.state["way"] | unpacked(request.members, len(setup.positions))
    return Summed(*_answer(session, setup, left, request.encrypted))


def finish(session: Session, request: FinishRequest) -> Finished:
    """Keep the splits that the final forest uses."""
    read_setup(session)
    splits = _splits(session)
    if not 0 <= request.splits <= len(splits):
        raise ProtocolError(f"splits must lie between 0 and {len(splits)}")
    keep_splits(session.store, splits.first(request.splits))
    session.state = {}
    return Finished()


def _answer(
    session: Session, setup: Setup, left: Flags, encrypted: Mapping[str, Array]
) -> tuple[Mapping[str, Array], NDArray[np.uint8]]:
    """The sums that were wanted, now that `left` (n,) says where rows went, and the next nodes' candidates."""
    state, config = session.state, session.config.boosting
    tree, ahead, owners, nodes = int(state["tree"]), bool(state["ahead"]), state["owners"], state["nodes"]
    sample = sampled_rows(setup.training, setup.seed, tree, config.row_share)
    shape, name = setup.binning.shape, session.party.declaration.name
    used = sampled_columns(len(shape), name, setup.seed, tree, config.column_share)
    responder = _responder(session.store.folder, config.encryption)
    if ahead:
        layout = tree_layout(nodes, owners >= YOU, sample)
        after = _at_root(setup)
    else:
        split, bank = owners != NOBODY, owners == THE_BANK
        layout = level_layout(nodes, split, bank, state["lighter_left"], left, sample)
        after = children(nodes, owners != NOBODY, left)
    counted = layout.counted(left)
    kept: dict[str, Array] = {}
    if responder.row_wise:
        encrypted, layout, kept = _regrouped(responder, encrypted, layout, counted, state)
        counted = np.ones(len(layout.rows), bool)
    codes = setup.codes[layout.rows][:, used]
    last = (shape.bins[used] - 1).astype(np.uint8)
    # What counts in no bin goes to the last one, which the bank works out as the rest.
    bins = np.where((codes == UNKNOWN) | ~counted[:, None], last, codes)
    sums = responder.sums(encrypted, layout.offsets, bins, shape.bins[used])
    session.state = {**_state(_splits(session), after), **kept}
    candidates = _candidates(setup, after, sample, used, config.min_leaf_count)
    return sums, packed(candidates.reshape(len(candidates), -1))


def _regrouped(
    responder: Responder,
    encrypted: Mapping[str, Array],
    layout: Layout,
    counted: Flags,
    state: Mapping[str, Array],
) -> tuple[Mapping[str, Array], Layout, dict[str, Array]]:
    """Under an engine that encrypts row by row: only the entries that count, taken from what the tree began with."""
    wanted = layout.only(counted)
    if encrypted:
        entry = np.zeros(len(state["nodes"]), np.int64)
        entry[wanted.rows] = np.flatnonzero(counted)
        kept = {_SENT + key: array for key, array in encrypted.items()}
        kept |= {"entry": entry, "offsets": layout.offsets}
    else:
        if "entry" not in state:
            raise ProtocolError("there are no encrypted numbers to add up")
        kept = _sent(state)
    sent = {key.removeprefix(_SENT): array for key, array in kept.items() if key.startswith(_SENT)}
    rows = kept["entry"][wanted.rows]
    return responder.regroup(sent, kept["offsets"], rows, wanted.offsets), wanted, kept


def _candidates(setup: Setup, nodes: NDArray[np.int16], sample: Flags, used: Flags, minimum: int) -> Flags:
    """Which splits of the nodes would leave rows enough on both sides: bool (k, c, width, 2, 2)."""
    shape, found = setup.binning.shape, []
    for node in range(int(nodes.max(initial=NOWHERE)) + 1):
        rows = np.flatnonzero(sample & (nodes == node))
        counts = histogram(setup.codes[rows], np.ones((len(rows), 1), np.int64), shape.width)[..., 0]
        found.append(allowed(counts, len(rows), shape, minimum, used))
    return np.array(found, bool)


def _check_demand(
    request: GrowRequest, setup: Setup, state: Mapping[str, Array], config: BoostingConfig
) -> None:
    """Raises ProtocolError unless the demand fits this party's nodes and columns."""
    owners, nodes = request.owners, state["nodes"]
    check_integers("owners", owners, None, NOBODY, ANOTHER + 1)
    if "way" in state:
        raise ProtocolError("the sums before these have not been asked for")
    if request.wanted and len(owners) and nodes.max(initial=NOWHERE) >= len(owners):
        raise ProtocolError("owners must be there for each node")
    if request.lighter_left.dtype != bool or request.lighter_left.shape != owners.shape:
        raise ProtocolError("lighter_left must be bool, one for each node")
    own = int((owners == YOU).sum())
    check_integers("columns", request.columns, own, 0, len(setup.binning.shape))
    check_bytes("left", request.left, (own, 32))
    check_bytes("bank_left", request.bank_left, (len(packed(setup.training)),))
    if not 0 <= request.tree <= config.trees:
        raise ProtocolError(f"tree must lie between 0 and {config.trees}")


def _state(splits: Splits, nodes: NDArray[np.int16]) -> dict[str, Array]:
    return {"columns": splits.columns, "left": splits.left, "nodes": nodes}


def _sent(state: Mapping[str, Array]) -> dict[str, Array]:
    """What `_regrouped` keeps of a tree's encryption."""
    return {key: state[key] for key in state if key.startswith(_SENT) or key in ("entry", "offsets")}


def _at_root(setup: Setup) -> NDArray[np.int16]:
    return np.where(setup.training, 0, NOWHERE).astype(np.int16)


def _splits(session: Session) -> Splits:
    return Splits(session.state["columns"], session.state["left"])


# An engine's responder may keep masks that serve many trees.
@lru_cache(maxsize=2)
def _responder(model: Path, engine: str) -> Responder:
    return new_responder(engine, Store(model).read(_KEY))
