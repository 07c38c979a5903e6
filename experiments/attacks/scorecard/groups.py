"""What the bank could learn of a passive party's groups of single rows from partial scores and points.

Equation solving on partial predictions (Luo et al., "Feature inference attack on model predictions in vertical
federated learning", ICDE 2021): a row's partial scores, one after each exchange, are sums of the weights of its groups.
There are fewer equations than weights, but the unknowns are whole: in each column a row is in one group. So two rows
that differ in one column only differ by the same vector wherever that column changes in the same way, and a vector that
many pairs of rows have in common is such a change. Which one it is follows from the points of both rows, from those of
the groups, which the card tells, and from the columns in which most points are lost.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from experiments.attacks.report import Attack
from experiments.attacks.scorecard.recording import Recording
from fl.scorecard.design import by_column
from fl.scorecard.points import NO_REASON

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SAMPLE = 3_000
"""Kinds of rows of which all pairs are compared."""
COMMON = 10
"""Pairs that a difference has in common at least."""
_EXACT = 1e-9


@dataclass(frozen=True)
class Seen:
    """What the bank sees of the rows of a passive party, equal ones once: u kinds of rows.

    scores   float64 (u, t): partial scores after each exchange
    points   int64 (u,)
    of_group by column, int64 (groups,): the points of each group
    allowed  by column, bool (u, groups): which groups the columns with most points lost leave possible
    """

    scores: Floats
    points: Integers
    of_group: list[Integers]
    allowed: list[Flags]


@dataclass(frozen=True)
class Change:
    """A difference of partial scores, float64 (t,), that is one column's change from one group to another."""

    vector: Floats
    column: int
    before: int
    after: int


def reconstruct(recording: Recording, party: str, rng: np.random.Generator) -> pd.DataFrame:
    """The share of rows whose group is named rightly, per column of a party that has points, and its `groups`.

    `largest` group everywhere; by `points` and reasons alone; by partial `scores` as well; and the share that is `sure`
    by these, since no other group is possible. Of the rows that train or validate.
    """
    grouped, rows = recording.grouped(party), recording.positions(party)
    card, told = recording.told(party)
    scores, first, kinds = np.unique(
        recording.partial_scores(party), axis=0, return_index=True, return_inverse=True
    )
    columns, points = grouped.grouping.columns, told.points[rows][first].astype(np.int64)
    of_group = by_column(card.points, grouped.grouping.counts)
    by_points = allowed_by_reasons(of_group, columns, told.reasons[rows][first], told.lost[rows][first])
    by_scores = solve(Seen(scores, points, of_group, by_points), rng)
    # The bank knows how many training rows are in each group.
    training = grouped.groups[recording.training(party)]
    names, results = recording.joined.tables[party].names, {}
    for place, column in enumerate(columns):
        truth, count = grouped.groups[rows, place], len(of_group[place])
        sizes = np.bincount(training[:, place], minlength=count)
        named = {
            way: (allowed[place] * (1 + sizes)).argmax(axis=1)[kinds]
            for way, allowed in (("points", by_points), ("scores", by_scores))
        }
        sure = (by_scores[place].sum(axis=1) == 1)[kinds] & (named["scores"] == truth)
        results[names[column]] = {
            "groups": count,
            "largest": (sizes.argmax() == truth).mean(),
            **{way: (groups == truth).mean() for way, groups in named.items()},
            "sure": sure.mean(),
        }
    return pd.DataFrame.from_dict(results, orient="index")


GROUPS = Attack(
    recording=Recording,
    play=reconstruct,
    title="In which groups of {party}'s columns the bank could tell rows to be, from …",
    first="column (groups)",
    caption=(
        "Share of rows that train or validate. largest: always the largest group; points: by points and reasons; "
        "scores: by partial scores, too; sure: where these leave no other group."
    ),
    counts="groups",
)


def allowed_by_reasons(
    of_group: list[Integers], columns: Integers, reasons: NDArray[np.int16], lost: NDArray[np.int32]
) -> list[Flags]:
    """Groups in which reasons and points lost (u, 4) let rows be, by column, bool (u, groups)."""
    least = np.where(reasons[:, -1] == NO_REASON, 0, lost[:, -1])
    allowed = []
    for column, points in zip(columns, of_group, strict=True):
        costs, here = points.max() - points, reasons == column
        told, named = (lost * here).sum(axis=1), here.any(axis=1)
        allowed.append(np.where(named[:, None], costs == told[:, None], costs <= least[:, None]))
    return allowed


def solve(seen: Seen, rng: np.random.Generator) -> list[Flags]:
    """Which groups the partial scores leave possible, by column, bool (u, groups)."""
    direction = rng.normal(size=seen.scores.shape[1])
    allowed, changes = seen.allowed, dict[tuple[int, frozenset[int]], Change]()
    common = _common_differences(seen, direction, rng)
    while True:
        before = len(changes)
        for pairs in common:
            change = _identified(seen, allowed, pairs)
            if change is not None:
                # One column changes in more pairs than several do, so what is most common comes first and stands.
                changes.setdefault((change.column, frozenset((change.before, change.after))), change)
        if len(changes) == before:
            return allowed
        allowed = _narrowed(seen, seen.allowed, list(changes.values()), direction)


def _common_differences(seen: Seen, direction: Floats, rng: np.random.Generator) -> list[Integers]:
    """Pairs of kinds, int64 (p, 2), with the same difference of partial scores, most first."""
    count = len(seen.scores)
    chosen = rng.choice(count, min(count, SAMPLE), replace=False)
    heights = seen.scores[chosen] @ direction
    order = np.argsort(heights)
    chosen, heights = chosen[order], heights[order]
    upper, lower = np.tril_indices(len(chosen), -1)
    gaps = heights[upper] - heights[lower]
    by_gap = np.argsort(gaps)
    # Equal differences stand side by side; a run ends where the next gap is larger.
    runs = np.split(by_gap, np.flatnonzero(np.diff(gaps[by_gap]) > _EXACT) + 1)
    pairs = [np.stack([chosen[upper[run]], chosen[lower[run]]], axis=1) for run in runs if len(run) >= COMMON]
    return sorted(pairs, key=len, reverse=True)


def _identified(seen: Seen, allowed: list[Flags], pairs: Integers) -> Change | None:
    """The one column and change that can be what these pairs have in common; None where it could be several."""
    first, second = pairs.T
    (gap,) = np.unique(seen.points[first] - seen.points[second])[:1]
    same = [(flags[first] & flags[second]).any(axis=1).all() for flags in allowed]
    possible = []
    for column, (flags, points) in enumerate(zip(allowed, seen.of_group, strict=True)):
        if not all(same[:column] + same[column + 1 :]):
            continue
        fits = flags[first].all(axis=0)[:, None] & flags[second].all(axis=0)
        fits &= points[:, None] - points == gap
        np.fill_diagonal(fits, False)
        possible += [(column, *change) for change in np.argwhere(fits)]
    if len(possible) != 1:
        return None
    vector = np.median(seen.scores[first] - seen.scores[second], axis=0)
    return Change(vector, *map(int, possible[0]))


def _narrowed(seen: Seen, allowed: list[Flags], changes: list[Change], direction: Floats) -> list[Flags]:
    """What is left when all pairs with a known change are in the groups that it says, and else in the same groups."""
    heights = seen.scores @ direction
    order, narrowed = np.argsort(heights), [flags.copy() for flags in allowed]
    edges = []
    for change in changes:
        wanted = heights - change.vector @ direction
        places = order[np.searchsorted(heights[order], wanted - _EXACT).clip(max=len(order) - 1)]
        gaps = seen.scores - change.vector - seen.scores[places]
        first = np.flatnonzero(np.abs(gaps).max(axis=1) < _EXACT)
        second = places[first]
        for rows, group in ((first, change.before), (second, change.after)):
            narrowed[change.column][rows] &= np.arange(narrowed[change.column].shape[1]) == group
        edges.append((change.column, first, second))
    for column, flags in enumerate(narrowed):
        others = [edge[1:] for edge in edges if edge[0] != column]
        if others:
            first, second = (np.concatenate(part) for part in zip(*others, strict=True))
            graph = coo_array((np.ones(len(first)), (first, second)), (len(flags),) * 2)
            alike = connected_components(graph, directed=False)[1]
            of_all = np.ones((alike.max() + 1, flags.shape[1]), bool)
            np.logical_and.at(of_all, alike, flags)
            flags &= of_all[alike]
    # What contradicts itself was no such change.
    return [np.where(new.any(axis=1)[:, None], new, old) for new, old in zip(narrowed, allowed, strict=True)]
