"""What a passive party does in boosting: bins its columns, makes its splits, adds up what it cannot read."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.binned import Setup, read_setup, set_up
from clients.forests import keep_splits
from clients.session import Session
from clients.store import Store
from fl.arrays import check_bytes, check_integers
from fl.binning import UNKNOWN, Codes
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
from fl.boosting.forest import Splits
from fl.boosting.gradients import sampled_columns, sampled_rows
from fl.boosting.layouts import NOWHERE, Layout, children, level_layout, tree_layout
from fl.boosting.merging import merge, merged, unmerged
from fl.boosting.padding import KEY_BYTES, new_secret, pad, public_key, sides
from fl.boosting.search import allowed, histogram
from fl.config.boosting import BoostingConfig
from fl.encrypted_sums import Responder, new_responder
from fl.errors import ProtocolError

Flags = NDArray[np.bool_]

_KEY, _SEAL, _SENT = "public_key", "seal_key", "sent/"
_NOTHING, _NO_SIDES, _NO_HOMES = (np.empty((0,) * axes, np.uint8) for axes in (1, 2, 3))


def start(session: Session, request: StartRequest) -> Started:
    """Bin the own columns."""
    config = session.config.boosting
    setup = set_up(session, request.seed, request.roles, config.bins, config.min_bin_count)
    session.state = _state(Splits.none(), *_at_root(setup))
    seal_key = _NOTHING
    if request.seal:
        if not config.sealed_sides:
            raise ProtocolError("this run does not seal sides")
        secret = new_secret()
        session.store.write(_SEAL, {"secret": secret})
        seal_key = public_key(secret)
    return Started(setup.binning.shape.to_arrays(), seal_key)


def grow(session: Session, request: GrowRequest) -> Grown:
    """Make the own splits, and the sums for the next ones unless another party's splits must be known first."""
    setup = read_setup(session)
    rows, nodes = len(setup.positions), session.state["nodes"]
    _check_demand(request, setup, session.state, session.config.boosting)
    sealed = _NO_SIDES
    if session.envelope.step == 2:
        session.store.write(_KEY, request.public_key)
        if len(request.seal_key):
            sealed = _sealed(session, setup, request.seal_key)
    new = Splits(request.columns, request.left)
    left = unpacked(request.bank_left, rows)
    members = np.zeros(rows, bool)
    for node, outcome in zip(np.flatnonzero(request.owners == YOU), new.outcomes(setup.codes), strict=True):
        members |= (nodes == node) & outcome
    left |= members
    knows = not (request.owners == ANOTHER).any()
    if len(request.members):
        left |= unpacked(request.members, rows)
        knows = True
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
    candidates, homes = _NOTHING, _NO_HOMES
    if not request.wanted:
        stay = nodes, session.state["homes"]
        session.state = _state(splits, *(_at_root(setup) if request.ahead else stay)) | _sent(session.state)
    elif knows:
        sums, candidates, homes = _answer(session, setup, left, request.encrypted)
    return Grown(packed(members), sealed, sums, candidates, homes)


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
    session.store.remove(_SEAL)
    session.state = {}
    return Finished()


def _sealed(session: Session, setup: Setup, bank_key: Array) -> NDArray[np.uint8]:
    """Which rows are in which bin, under a pad that only the bank has too."""
    check_bytes("seal_key", bank_key, (KEY_BYTES,))
    bins, secret = setup.binning.shape.bins, session.store.read(_SEAL)["secret"]
    return sides(setup.codes, bins) ^ pad(secret, bank_key, bins, len(setup.codes))


def _answer(
    session: Session, setup: Setup, left: Flags, encrypted: Mapping[str, Array]
) -> tuple[Mapping[str, Array], NDArray[np.uint8], NDArray[np.uint8]]:
    """The sums that were wanted, as `left` (n,) says where rows went, and the next nodes' candidates and homes."""
    state, config = session.state, session.config.boosting
    tree, ahead, owners, nodes = int(state["tree"]), bool(state["ahead"]), state["owners"], state["nodes"]
    sample = sampled_rows(setup.training, setup.seed, tree, config.row_share)
    shape, name = setup.binning.shape, session.party.declaration.name
    used = sampled_columns(len(shape), name, setup.seed, tree, config.column_share)
    responder = _responder(session.store.folder, config.encryption)
    if ahead:
        layout = tree_layout(nodes, owners >= YOU, sample)
        after, homes = _at_root(setup)
        family = 1
    else:
        split, bank = owners != NOBODY, owners == THE_BANK
        layout = level_layout(nodes, split, bank, state["lighter_left"], left, sample)
        after, homes = children(nodes, split, left), state["homes"][split]
        family = 2
    new_nodes = family * len(homes)
    counts = _counts(setup, after, sample, new_nodes)
    parts = counts.reshape(-1, family, *counts.shape[1:])
    homes = merge(parts, homes.astype(np.int64), shape, config.min_bin_count).astype(np.uint8)
    counted = layout.counted(left)
    kept: dict[str, Array] = {}
    if responder.row_wise:
        encrypted, layout, kept = _regrouped(responder, encrypted, layout, counted, state)
        counted = np.ones(len(layout.rows), bool)
    codes = setup.codes[layout.rows][:, used]
    # The last bin of a column is the rest, which the bank works out: neither it nor what counts nowhere is added up.
    last = shape.bins[used] - 1
    nowhere = (codes == UNKNOWN) | ~counted[:, None]
    bins = np.where(nowhere, last, _moved(codes, homes[:, used], layout.groups())).astype(np.uint8)
    sums = responder.sums(encrypted, layout.offsets, bins, last)
    of_nodes = np.repeat(homes, family, axis=0)
    session.state = {**_state(_splits(session), after, of_nodes), **kept}
    candidates = [
        allowed(at_home, int((sample & (after == node)).sum()), home, shape, config.min_leaf_count, used)
        for node, (at_home, home) in enumerate(zip(merged(counts, of_nodes), of_nodes, strict=True))
    ]
    return sums, packed(np.array(candidates, bool).reshape(new_nodes, -1)), of_nodes


def _moved(codes: Codes, homes: NDArray[np.uint8], groups: NDArray[np.int64]) -> Codes:
    """Bins (e, c) at their homes (groups, c, width), for entries of these groups (e,); UNKNOWN anywhere."""
    known = np.minimum(codes, homes.shape[2] - 1)
    found: Codes = homes[groups[:, None], np.arange(codes.shape[1]), known]
    return found


def _counts(setup: Setup, nodes: NDArray[np.int16], sample: Flags, new_nodes: int) -> NDArray[np.int64]:
    """Rows per bin of each new node: (k, c, width)."""
    width, found = setup.binning.shape.width, []
    for node in range(new_nodes):
        rows = np.flatnonzero(sample & (nodes == node))
        found.append(histogram(setup.codes[rows], np.ones((len(rows), 1), np.int64), width)[..., 0])
    return np.array(found)


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
    bits = len(packed(setup.training))
    check_bytes("bank_left", request.bank_left, (bits,))
    check_bytes("members", request.members, (bits if len(request.members) else 0,))
    if not 0 <= request.tree <= config.trees:
        raise ProtocolError(f"tree must lie between 0 and {config.trees}")


def _state(splits: Splits, nodes: NDArray[np.int16], homes: NDArray[np.uint8]) -> dict[str, Array]:
    return {"columns": splits.columns, "left": splits.left, "nodes": nodes, "homes": homes}


def _sent(state: Mapping[str, Array]) -> dict[str, Array]:
    """What `_regrouped` keeps of a tree's encryption."""
    return {key: state[key] for key in state if key.startswith(_SENT) or key in ("entry", "offsets")}


def _at_root(setup: Setup) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """The node of each row, and the merging, where a tree begins."""
    nodes = np.zeros(len(setup.positions), np.int16)
    return nodes, unmerged(1, setup.binning.shape).astype(np.uint8)


def _splits(session: Session) -> Splits:
    return Splits(session.state["columns"], session.state["left"])


# An engine's responder may keep masks that serve many trees.
@lru_cache(maxsize=2)
def _responder(model: Path, engine: str) -> Responder:
    return new_responder(engine, Store(model).read(_KEY))
