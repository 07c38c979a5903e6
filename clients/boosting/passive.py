"""What a passive party does in boosting: bins its columns, makes its splits, adds up what it cannot read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_table
from clients.binned import Setup, read_setup, set_up, set_up_common
from clients.boosting.demands import (
    Growing,
    Sent,
    check_common_splits,
    check_level,
    check_splits,
    check_task,
)
from clients.forests import PassiveModel, contribution
from clients.post import Partners
from clients.reasons import column_texts
from clients.session import Session
from clients.store import Store
from fl.arrays import check_bytes
from fl.binning import UNKNOWN, Codes, Shape
from fl.boosting import (
    ANOTHER,
    NOBODY,
    THE_BANK,
    YOU,
    Columns,
    CommonStartRequest,
    Finished,
    FinishRequest,
    Gradients,
    Grown,
    GrowRequest,
    HandedOver,
    Kept,
    Keys,
    Level,
    Members,
    OutcomesRequest,
    Reasons,
    SidesRequest,
    Started,
    StartRequest,
    SumRequest,
    Sums,
    Task,
    Told,
    packed,
    unpacked,
)
from fl.boosting.forest import Flags, Splits
from fl.boosting.gradients import most_entries, ranges, sampled_columns, sampled_rows
from fl.boosting.layouts import (
    NOWHERE,
    Layout,
    children,
    level_layout,
    root_layout,
    roots,
    summed_columns,
    wanted_sums,
)
from fl.boosting.merging import merge, merged, unmerged
from fl.boosting.padding import KEY_BYTES, PadSecret, PadUse, sides, within
from fl.boosting.search import allowed
from fl.config.boosting import BoostingConfig
from fl.encrypted_sums import Responder, new_responder
from fl.errors import ProtocolError
from fl.messages import Letter, declaration_of
from fl.records import Array
from fl.splits import TEST
from fl.sums import counts_by_node

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which sums the bank wants, who splits the nodes before, and which of their rows go left, bool (p, n).

    What other passive parties split is in `left` as far as it is known. The task has no keys any more.
    """

    task: Task
    owners: NDArray[np.int8]
    left: Flags


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What a passive party keeps of sums until it is told where others send rows. It takes no demand before.

    members uint8 (p, ⌈n/8⌉) are those that it has told.
    """

    growing: Growing
    asked: Asked
    members: NDArray[np.uint8]


@dataclass(frozen=True)
class Common:
    """That the bins are common to the banks of these sub-studies, and their splits too."""

    studies: tuple[str, ...]


def start(session: Session, request: StartRequest) -> Started:
    """Bin the party's columns; make a key for its sides if they may have to be handed over."""
    config = session.config.section(BoostingConfig)
    setup = set_up(session, request.seed, request.split, config.bins, config.min_bin_count)
    return _started(session, setup)


def start_common(session: Session, request: CommonStartRequest) -> Started:
    """The same with bins that are common to several banks."""
    config = session.config.section(BoostingConfig)
    setup = set_up_common(
        session, request.seed, request.split, request.studies, config.bins, config.min_bin_count
    )
    session.store.keep(Common(tuple(sorted(request.studies))))
    return _started(session, setup)


def _started(session: Session, setup: Setup) -> Started:
    config = session.config.section(BoostingConfig)
    session.keep(Growing.at_roots(setup, Splits.none(), 0, config))
    pad_key = None
    if config.sealed_sides:
        secret = PadSecret.new()
        session.store.keep(secret)
        pad_key = secret.public_key
    return Started(Letter.of(Columns(shape=setup.binning.shape, pad_key=pad_key)))


def grow(session: Session, request: GrowRequest) -> Grown:
    """Make the party's splits, and the sums for the next ones unless others' splits must be known first."""
    setup, growing = read_setup(session), session.state(Growing)
    config = session.config.section(BoostingConfig)
    task, level = request.task.read(Task), request.level.read(Level)
    check_task(task, growing, config)
    check_level(level, task, request.sides, growing, setup)
    if session.store.has(Common):
        check_common_splits(level, growing, setup.binning.shape)
    else:
        check_splits(level, growing, setup.binning.shape)
    _take_keys(session, task.keys)
    members = np.zeros(growing.nodes.shape, bool)
    outcomes = level.splits.outcomes(setup.codes)
    for node, outcome in zip(np.flatnonzero(level.owners == YOU), outcomes, strict=True):
        members |= (growing.nodes == node) & outcome
    left = task.bank_left | packed(members)
    others = np.flatnonzero(level.owners == ANOTHER)
    if level.pad is not None and request.sides is not None:
        left |= within(request.sides, growing.nodes, others) ^ level.pad
    growing = growing.with_splits(level.splits)
    asked = Asked(
        task=replace(task, keys=None),
        owners=level.owners,
        left=unpacked(left, len(setup.positions)),
    )
    sums: Sums | None = None
    if not task.wanted:
        at_roots = Growing.at_roots(setup, growing.splits, task.round, config, growing.sent)
        session.keep(at_roots if task.ahead else growing)
    elif len(others) and level.pad is None:
        session.keep(Waiting(growing=growing, asked=asked, members=packed(members)))
    else:
        if request.gradients is None:
            raise ProtocolError("the gradients to add up are missing")
        sums = _add_up(session, setup, growing, asked, request.gradients)
    return Grown(
        members=Letter.of(Members(packed(members))),
        sums=None if sums is None else Letter.of(sums),
        sides=None
        if task.keys is None or task.keys.pad is None
        else hand_over(session, SidesRequest()).sides,
    )


def hand_over(session: Session, request: SidesRequest) -> HandedOver:
    """The sides of all bins under the pad, the same whenever they are asked for."""
    keys = session.store.read(Keys) if session.store.has(Keys) else None
    if keys is None or keys.pad is None or not session.store.has(PadSecret):
        raise ProtocolError("there are no sides to hand over")
    setup, secret = read_setup(session), session.store.read(PadSecret)
    bins = setup.binning.shape.bins
    envelope, holder = session.envelope, session.study.read(Partners).label_holder
    of_both = {holder: keys.pad, session.declaration.name: secret.public_key}
    use = PadUse(study=envelope.study, model=envelope.model, keys=of_both)
    return HandedOver(sides(setup.codes, bins) ^ secret.pad(use, holder, bins, len(setup.codes)))


def add_up(session: Session, request: SumRequest) -> Grown:
    """The sums, now that it is known where all rows went."""
    setup, waiting = read_setup(session), session.state(Waiting)
    left = packed(waiting.asked.left)
    for letter in request.members.values():
        members = letter.read(Members).left
        check_bytes("members", members, left.shape)
        left |= members
    asked = replace(waiting.asked, left=unpacked(left, len(setup.positions)))
    sums = _add_up(session, setup, waiting.growing, asked, request.gradients)
    return Grown(members=Letter.of(Members(waiting.members)), sums=Letter.of(sums), sides=None)


def finish(session: Session, request: FinishRequest) -> Finished:
    """Keep the splits that the final forest uses."""
    splits, count = session.state(Growing).splits, request.kept.read(Kept).splits
    if not 0 <= count <= len(splits):
        raise ProtocolError(f"splits must lie between 0 and {len(splits)}")
    session.store.keep(PassiveModel(splits.first(count)))
    session.store.remove(PadSecret)
    session.keep(None)
    return Finished()


def outcomes(session: Session, request: OutcomesRequest) -> Told:
    """Where the party's splits send the test rows, and what a customer is told by their columns."""
    table = read_table(session.study)
    used = np.unique(session.store.read(PassiveModel).splits.columns)
    texts = np.full((2, len(table.names)), "", object)
    texts[:, used] = column_texts(session, table, used)
    test = table.take(np.flatnonzero(read_setup(session).roles == TEST))
    return Told(
        outcomes=Letter.of(contribution(session.store, test, session.config)),
        reasons=Letter.of(Reasons(texts=texts[0].astype(np.str_), texts_zh=texts[1].astype(np.str_))),
    )


def _take_keys(session: Session, keys: Keys | None) -> None:
    """Keep the bank's keys, which come with the first task.

    Which that is, the last step says: the keys may be here already, if this process died before the end of this one.
    """
    starts = {declaration_of(kind).action for kind in (StartRequest, CommonStartRequest)}
    if (keys is not None) != (session.store.last().action in starts):
        raise ProtocolError("the bank's keys come with its first task and with no other")
    if keys is None:
        return
    if keys.pad is not None:
        if not session.store.has(PadSecret):
            raise ProtocolError("sides are not handed over in this run")
        check_bytes("the key of the pads", keys.pad, (KEY_BYTES,))
    session.store.keep(keys)


def _add_up(
    session: Session, setup: Setup, growing: Growing, asked: Asked, gradients: Letter[Gradients]
) -> Sums:
    """The sums that were asked for, and the next nodes' candidates and merged bins; keeps the state at these nodes."""
    config = session.config.section(BoostingConfig)
    trees = config.trees_of(asked.task.round)
    samples = sampled_rows(setup.training, setup.seed, trees, config.row_share)
    shape, name = setup.binning.shape, session.declaration.name
    used = sampled_columns(len(shape), name, setup.seed, trees, config.column_share)
    layout, nodes, homes, family = _next_nodes(setup, growing, asked, samples)
    level = 0 if asked.task.ahead else growing.level + 1
    of_trees = np.repeat(layout.trees, family)
    counts = counts_by_node(setup.codes, np.where(samples, nodes, NOWHERE), len(of_trees), shape.width)
    of_parents = counts.reshape(-1, family, *counts.shape[1:])
    merged_homes = merge(of_parents, homes.astype(np.int64), shape, config.min_merged_count)
    counted, encrypted, sent = layout.counted(asked.left), gradients.read(Gradients).encrypted, None
    responder = _responder(session.store.folder, config, most_entries(setup.training, config))
    if responder.row_wise:
        sent = _sent(encrypted, layout, counted, growing)
        layout = layout.only(counted)
        rows = sent.entries[layout.rows]
        encrypted = responder.regroup(sent.encrypted, sent.offsets, rows, layout.offsets)
        counted = np.ones(len(layout.rows), bool)
    (columns, told), codes = summed_columns(used, shape.bins), setup.codes[layout.rows]
    bins = [
        _bins(codes, np.where(counted, of_sample, NOWHERE), columns[layout.trees], merged_homes, shape)
        for of_sample in layout.sums()
    ]
    sums = responder.sums(
        encrypted,
        layout.offsets,
        np.hstack([np.minimum(of_sample, told) for of_sample in bins]).astype(np.uint8),
        np.tile(told, len(bins)),
        layout.by_group(wanted_sums(merged_homes, columns[layout.trees], told, shape)),
    )
    of_nodes = np.repeat(merged_homes, family, axis=0)
    offered = [
        allowed(
            at_home,
            int((samples[tree] & (nodes[tree] == node)).sum()),
            home,
            shape,
            config.min_leaf_count,
            used[tree],
        )
        for node, (at_home, home, tree) in enumerate(
            zip(merged(counts, of_nodes), of_nodes, of_trees, strict=True)
        )
    ]
    homes, candidates = of_nodes.astype(np.uint8), packed(np.array(offered, bool).reshape(len(of_trees), -1))
    session.keep(
        Growing(
            splits=growing.splits,
            nodes=nodes,
            trees=of_trees,
            homes=homes,
            candidates=candidates,
            round=asked.task.round,
            level=level,
            sent=sent,
        )
    )
    return Sums(sums=sums, candidates=candidates, homes=homes)


def _bins(codes: Codes, sums: Integers, columns: Integers, homes: Integers, shape: Shape) -> Integers:
    """In which bin of the column at each of m places an entry is added up, (e, m); UNKNOWN where in none.

    codes (e, c) are the entries' bins, sums (e,) which of s sums each is in, or NOWHERE; columns (s, m) are those at
    the places of each sum, homes (s, c, width) its merged bins. The last bin of a column is the rest, which the bank
    works out: neither it nor what counts nowhere is added up.
    """
    column = columns[sums]
    code = np.take_along_axis(codes, column, axis=1)
    # UNKNOWN is no bin: it may be looked up as any.
    home = homes[sums[:, None], column, np.minimum(code, shape.width - 1)]
    nowhere = (code == UNKNOWN) | (sums == NOWHERE)[:, None] | (home == shape.bins[column] - 1)
    return np.where(nowhere, UNKNOWN, home)


def _next_nodes(
    setup: Setup, growing: Growing, asked: Asked, samples: Flags
) -> tuple[Layout, NDArray[np.int16], NDArray[np.uint8], int]:
    """What the bank has encrypted, the node of each row, the merged bins by parent, and how many nodes a parent has.

    A root counts as its own parent.
    """
    owners = asked.owners
    if asked.task.ahead:
        trees, rows = samples.shape
        homes = unmerged(trees, setup.binning.shape).astype(np.uint8)
        return root_layout(growing.nodes, owners >= YOU, samples), roots(trees, rows), homes, 1
    split, by_bank, lighter_left = owners != NOBODY, owners == THE_BANK, asked.task.lighter_left
    layout = level_layout(growing.nodes, split, by_bank, lighter_left, asked.left, samples, growing.trees)
    return layout, children(growing.nodes, split, asked.left), growing.homes[split], 2


def _sent(encrypted: Mapping[str, Array], layout: Layout, counted: Flags, growing: Growing) -> Sent:
    """The numbers of a round, which come with its roots: of each row the entry that counts."""
    if encrypted:
        entries = np.zeros(growing.nodes.shape[1], np.int64)
        entries[layout.rows[counted]] = np.flatnonzero(counted)
        return Sent(encrypted=encrypted, entries=entries, offsets=layout.offsets)
    if growing.sent is None:
        raise ProtocolError("there are no encrypted numbers to add up")
    return growing.sent


# An engine's responder may keep masks that serve many trees.
@lru_cache(maxsize=2)
def _responder(model: Path, config: BoostingConfig, entries: int) -> Responder:
    return new_responder(config.encryption, entries, ranges(config), Store(model).read(Keys).sums)
