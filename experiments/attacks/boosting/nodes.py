"""Which rows are in which node of every tree, as a receiver of the messages can tell.

A passive party is told where the bank's splits and those of other parties send the rows of a node, and makes its own.
The coordinator relays all of that, and the bank has it as well. Nobody but the bank sees where the bank's own splits at
the last level of a tree send rows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.attacks.boosting.recording import Recording
from fl.boosting import ANOTHER, NOBODY, THE_BANK, Demanded, GrowRequest, SumRequest, unpacked
from fl.boosting.layouts import NOWHERE, Nodes, children

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Level:
    """The k nodes of one level of a tree, and the n rows that train or validate, to the eyes of a receiver.

    number        of the demand that splits them, among all of the bank's
    nodes         int16 (n,): the node of each row, NOWHERE for one that has reached a leaf before
    seen          bool (k,): nodes that are split, and whose rows it sees go left or right
    left          bool (n,): to which side, where seen
    lighter_left  bool (k,): the left child has the smaller sum of hessians
    last          the next level is another tree's root
    """

    number: int
    nodes: Nodes
    seen: Flags
    left: Flags
    lighter_left: Flags
    last: bool


@dataclass(frozen=True)
class _Step:
    """What `Level` has, before it is known which nodes rows are in."""

    number: int
    seen: Flags
    left: Flags
    lighter_left: Flags
    last: bool


def levels_of_party(recording: Recording, party: str) -> Iterator[Level]:
    """What a passive party sees."""
    return _walk(recording, _of_party(recording, party))


def levels_of_coordinator(recording: Recording) -> Iterator[Level]:
    """What the coordinator sees, and the bank as well."""
    return _walk(recording, _of_coordinator(recording))


def leaves(levels: Iterable[Level], training: Flags) -> NDArray[np.float32]:
    """Which rows a receiver sees together: 1 where a training row is in a leaf, float32 (rows, leaves of all trees).

    A tree's leaves are the nodes in which the receiver loses sight of a row.
    """
    path = np.ones(len(training), np.int64)
    found = []
    for level in levels:
        there = level.nodes != NOWHERE
        moved = there & np.append(level.seen, False)[level.nodes]
        path[moved] = 2 * path[moved] + ~level.left[moved]
        if level.last:
            names = np.unique(path[training])
            found.append(path[training, None] == names)
            path[:] = 1
    return np.concatenate(found, axis=1).astype(np.float32)


def lightness(levels: Iterable[Level], training: Flags) -> NDArray[np.float64]:
    """How much each training row's nodes weigh less than their size says, (rows,): a light row is a sure one.

    Of two children the one with more rows and the smaller sum of hessians has the lower risk by at least the ratio of
    their sizes, while defaults are rarer than one in two.
    """
    score = np.zeros(len(training))
    for level in levels:
        for node in np.flatnonzero(level.seen):
            rows = training & (level.nodes == node)
            lighter = rows & (level.left == level.lighter_left[node])
            light, heavy = int(lighter.sum()), int(rows.sum() - lighter.sum())
            if light > heavy > 0:
                score[lighter] += np.log(light / heavy)
                score[rows & ~lighter] -= np.log(light / heavy)
    return score[training]


def _walk(recording: Recording, steps: Iterable[_Step]) -> Iterator[Level]:
    """Rows go down the trees, step by step."""
    root = np.zeros(len(recording.positions), np.int16)
    nodes = root
    for step in steps:
        yield Level(step.number, nodes, step.seen, step.left, step.lighter_left, step.last)
        nodes = root if step.last else children(nodes, step.seen, step.left)


def _of_party(recording: Recording, party: str) -> Iterator[_Step]:
    rows = len(recording.positions)
    messages = [*recording.messages[party], None]
    requests = [place for place, message in enumerate(messages) if isinstance(message, GrowRequest)]
    for number, place in enumerate(requests):
        request, reply, sums = messages[place], messages[place + 1], messages[place + 2]
        ways = [request.bank_left, reply.members]
        seen = request.owners != NOBODY
        if len(request.members):
            ways.append(request.members)
        elif isinstance(sums, SumRequest):
            ways.append(sums.members)
        else:
            seen &= request.owners != ANOTHER
        if request.ahead:
            seen &= request.owners != THE_BANK
        if _counts(request):
            left = unpacked(np.bitwise_or.reduce(ways), rows)
            yield _Step(number, seen, left, request.lighter_left, request.ahead)


def _of_coordinator(recording: Recording) -> Iterator[_Step]:
    rows = len(recording.positions)
    for number, (demand, reply) in enumerate(recording.demands):
        if _counts(demand):
            seen = demand.owners >= (1 if demand.ahead else 0)
            left = unpacked(np.bitwise_or.reduce([demand.bank_left, *reply.members.values()]), rows)
            yield _Step(number, seen, left, demand.lighter_left, demand.ahead)


def _counts(demand: Demanded | GrowRequest) -> bool:
    """Whether a demand splits nodes; one that wants no sums yet comes a second time, and then counts."""
    return len(demand.owners) > 0 and (demand.wanted or demand.ahead)
