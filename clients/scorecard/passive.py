"""What a passive party does in the scorecard: bins, adds up what it cannot read, steps, and gives points."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from clients.aligned import read_table
from clients.binned import Setup, read_setup
from clients.scorecard.card import keep_points_table, without_values
from clients.scorecard.model import GROUPS, MODEL, contribution
from clients.scorecard.shares import all_codes, bin_columns, demanded, group_values, texts
from clients.session import Session
from clients.store import Store
from fl.arrays import check_numbers
from fl.binning import UNKNOWN, Codes
from fl.encrypted_sums import Responder, new_responder
from fl.encrypted_sums.interface import Integers
from fl.errors import ProtocolError
from fl.scorecard import (
    Array,
    Counted,
    CountRequest,
    Finished,
    FinishRequest,
    GradientRequest,
    Masked,
    Points,
    PointsRequest,
    Started,
    StartRequest,
    Stepped,
    StepRequest,
)
from fl.scorecard.card import share_of_rows, told
from fl.scorecard.design import Design
from fl.scorecard.grouping import DROPPED, Grouping
from fl.scorecard.points import PointsTable, Scale
from fl.scorecard.regression import PassiveBlock, cone_of
from fl.scorecard.values import EXACT
from fl.splits import TRAIN

_KEY, _BLOCK, _MASK = "public_key", "block", "mask/"


def start(session: Session, request: StartRequest) -> Started:
    """Bin the own columns, and count."""
    setup = bin_columns(session, request.seed, request.roles)
    shape, codes = setup.binning.shape, setup.codes[setup.training]
    known = codes[read_table(session.study).known[setup.positions[setup.training]]]
    counts = Design(known, shape.bins).totals(np.ones(len(known))).astype(np.int64)
    # If none of the columns is worth its place, this is all that the party hears: its part of the model is no points.
    none = PointsTable(*(np.empty(0, np.int64) for _ in range(3)))
    session.store.write(GROUPS, {"groups": np.full(int(shape.bins.sum()), DROPPED, np.int16)})
    session.store.write(MODEL, none.to_arrays())
    return Started(shape.to_arrays(), counts)


def count(session: Session, request: CountRequest) -> Counted:
    """Add up the encrypted labels by bin."""
    setup = read_setup(session)
    session.store.write(_KEY, request.public_key)
    bins, counts = _with_unknown(setup.codes[setup.training], setup.binning.shape.bins)
    offsets = np.array([0, len(bins)], np.int64)
    responder = _responder(session.store.folder, session.config.scorecard.encryption)
    return Counted(responder.sums(request.encrypted, offsets, bins, counts))


def gradient(session: Session, request: GradientRequest) -> Masked:
    """Go to where the bank says, and add up the residual there, under a mask."""
    setup = read_setup(session)
    if "values" not in session.state:
        _begin(session, setup, request.groups)
    if any(name.startswith(_MASK) for name in session.state):
        raise ProtocolError("the sums before these have not been opened yet")
    grouping, values = _grouping(session, setup), session.state["values"]
    check_numbers("mix", request.mix, (len(values),), np.float64)
    groups, counts = _with_unknown(grouping.transform(setup.codes[setup.training]), grouping.counts)
    offsets = np.array([0, len(groups)], np.int64)
    responder = _responder(session.store.folder, session.config.scorecard.encryption)
    sums, mask = responder.masked_sums(request.encrypted, offsets, groups, counts)
    kept = {_MASK + name: array for name, array in mask.items()}
    session.state = {**session.state, "weights": request.mix @ values, **kept}
    return Masked(sums)


def step(session: Session, request: StepRequest) -> Stepped:
    """Take a step by the gradient, and tell where it leads."""
    setup, state, config = read_setup(session), session.state, session.config.scorecard
    mask = {name.removeprefix(_MASK): array for name, array in state.items() if name.startswith(_MASK)}
    if not mask:
        raise ProtocolError("there are no sums to be opened")
    responder = _responder(session.store.folder, config.encryption)
    opened = responder.unmask(request.opened, mask)
    # The last number of each column is of the rows that the party does not know.
    sums = np.concatenate([part[0, :-1, 0] for part in opened])
    grouping = _grouping(session, setup)
    known = setup.codes[read_table(session.study).known[setup.positions]]
    design = Design(grouping.transform(known), grouping.counts)
    block = PassiveBlock(design, cone_of(grouping), session.store.read(_BLOCK)["curvature"], config.penalty)
    after = block.step(state["weights"], sums, config.precision)
    values = np.concatenate([state["values"], after[None]])
    steps = np.concatenate([state["steps"], (after - state["weights"])[None]])
    session.state = {"values": values, "steps": steps}
    return Stepped(design.scores(after), block.products(steps))


def finish(session: Session, request: FinishRequest) -> Finished:
    """Keep the weights of the last step, as points."""
    setup, config = read_setup(session), session.config.scorecard
    taken = session.state.get("values", np.empty((0, 0)))
    if not len(taken):
        raise ProtocolError("no step has been taken")
    grouping, weights = _grouping(session, setup), taken[-1]
    table = PointsTable(grouping.columns, grouping.counts, Scale.of(config).points(weights))
    session.store.write(MODEL, {"weights": weights, **table.to_arrays()})
    session.state = {}
    known = read_table(session.study).known
    groups, roles = grouping.transform(all_codes(session, setup)[known]), setup.roles[known]
    own_texts = texts(session, table.columns)
    finished = told(table, grouping, groups, roles, group_values(session, grouping), own_texts)
    exact = group_values(session, grouping, EXACT)
    keep_points_table(session, table, exact, share_of_rows(groups[roles == TRAIN], table.counts))
    return without_values(session, finished)


def points(session: Session, request: PointsRequest) -> Points:
    """The points of every position, and where they are lost."""
    read_setup(session)
    return Points(**contribution(session.store, read_table(session.study), session.config))


def _begin(session: Session, setup: Setup, groups: Array) -> None:
    """Take the groups, and work out the bound on the curvature that holds for all steps."""
    config = session.config.scorecard
    grouping = Grouping(demanded(setup.binning.shape, config), groups).check()
    if not len(grouping.columns):
        raise ProtocolError("groups leave no column, so there is nothing to fit")
    session.store.write(GROUPS, {"groups": groups})
    known = read_table(session.study).known[setup.positions[setup.training]]
    design = Design(grouping.transform(setup.codes[setup.training][known]), grouping.counts)
    block = PassiveBlock.of(design, cone_of(grouping), config.penalty, bool(known.all()))
    session.store.write(_BLOCK, {"curvature": block.curvature})
    none = np.empty((0, design.width))
    session.state = {"values": none, "steps": none}


def _grouping(session: Session, setup: Setup) -> Grouping:
    shape = demanded(setup.binning.shape, session.config.scorecard)
    return Grouping(shape, session.store.read(GROUPS)["groups"])


def _with_unknown(codes: Codes, counts: Integers) -> tuple[Codes, Integers]:
    """Bins (n, k) in which rows that the party does not know have one more, the last of each column."""
    return np.where(codes == UNKNOWN, counts, codes).astype(np.uint8), counts + 1


# An engine's responder may keep what serves many exchanges.
@lru_cache(maxsize=2)
def _responder(model: Path, engine: str) -> Responder:
    kept: Mapping[str, Any] = Store(model).read(_KEY)
    return new_responder(engine, kept)
