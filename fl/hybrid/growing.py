"""One bank's half of growing a forest of several banks and passive parties: what it adds, and what all make of it.

A `HybridGrower` is the bank's `Grower` of `fl/boosting` as far as the bank's own rows and the passive parties go: which
rows are where, what is to be encrypted for which sums. What it opens it does not search by itself, but adds it to what
the other banks have opened (`gather`), and by the total all banks choose the same splits (`advance`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fl.banks.boosting import LOSS_UNIT, loss_sum
from fl.boosting.forest import Flags
from fl.boosting.gradients import gradients
from fl.boosting.growing import UNBOUNDED, Grower
from fl.boosting.growth import Answer, Best, Data, Demand, Growth, Integers
from fl.boosting.merging import unmerged
from fl.boosting.search import BestSplit, weight
from fl.config.boosting import BoostingConfig
from fl.errors import ConfigError, ProtocolError

_DIRECTION_BITS = 15
"""How many banks allow a split is counted for all four directions in one number, each in so many bits."""


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What a bank has added, until it knows the total.

    finished  a round had just been finished, so losses are the first numbers
    homes     int64 (k, c, width) by passive party, the merged bins of this bank's rows in the nodes whose sums follow;
              none where no sums do
    """

    finished: bool
    homes: list[Integers]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """How many rows train and validate at all banks."""

    training: int
    validation: int


class HybridGrower(Grower):
    """Grows the banks' trees at one of them: `resolve`, `gather` and `advance` in turn; see the module.

    gathered is what the last `gather` left, and `all_rows` are those of all banks. Raises ConfigError for settings that
    need what no bank may know of another's rows.
    """

    def __init__(
        self,
        data: Data,
        config: BoostingConfig,
        growth: Growth,
        all_rows: Rows,
        gathered: Gathered | None = None,
    ) -> None:
        for name, is_set in (
            ("goss-top", config.goss_top),
            ("reweigh", config.reweigh),
            ("first-tree-bank-only", config.first_tree_bank_only),
        ):
            if is_set:
                raise ConfigError(
                    f"Setting 'boosting.{name}' is for one bank; leave it out where several banks train together."
                )
        super().__init__(data, config, growth)
        self.all_rows, self.gathered, self._finished = all_rows, gathered, False

    @classmethod
    def begin_with(cls, data: Data, config: BoostingConfig, all_rows: Rows) -> tuple[Self, Demand]:
        """A new forest, and the first demand."""
        scores = np.full(len(data.labels), data.base)
        growth = Growth.start(scores, gradients(scores, data.labels, config.precision))
        grower = cls(data, config, growth, all_rows)
        return grower, grower._plant()

    def gather(self, answers: Sequence[Answer]) -> Integers:
        """What the bank adds next, int64 (m,), once its demand is resolved; nothing where it can go on without a total.

        answers are those of the passive parties, if sums were wanted of them. Raises RuntimeError when the last demand
        has not been resolved.
        """
        if self._resolved is None:
            raise RuntimeError("a demand is resolved before anything is added")
        layout, self._resolved = self._resolved.layout, None
        finished, self._finished = self._finished, False
        parts = [self._losses()] if finished else [np.empty(0, np.int64)]
        if layout is not None:
            self._take(layout, answers)
            of_own = self.growth.sums[0], self._counts()[0][..., None]
            parts.append(np.concatenate(of_own, axis=-1).ravel())
            for sums, answer in zip(self.growth.sums[1:], answers, strict=True):
                parts += [sums.ravel(), _directions(answer.candidates).ravel()]
        self.gathered = Gathered(finished=finished, homes=[answer.homes for answer in answers])
        return np.concatenate(parts)

    def advance_by(self, total: Integers) -> tuple[Demand | None, NDArray[np.float64] | None]:
        """The next demand, by the total of what the banks have added; none when the training has ended.

        And where a round was finished, the mean log losses (2,) of the rows that train and of those that validate.
        Raises RuntimeError when nothing has been added, and ProtocolError for a total of another length.
        """
        if self.gathered is None:
            raise RuntimeError("a bank adds before it goes on by a total")
        gathered, self.gathered = self.gathered, None
        losses: NDArray[np.float64] | None = None
        if gathered.finished:
            losses, total = self._take_losses(total[:2]), total[2:]
            if self._has_ended():
                return None, losses
        if gathered.homes:
            return self._split(self._common_splits(total, gathered.homes)), losses
        if len(total):
            raise ProtocolError("the banks' sums are not as many as the nodes, columns and bins")
        return self.go_on(), losses

    def go_on(self) -> Demand:
        """The next demand, where nothing has to be added before it."""
        return self._plant() if self.growth.ahead else self._decide()

    def _judge(self) -> None:
        """No bank knows how the forest fits before it has the losses of all rows."""
        self._finished = True

    def _losses(self) -> Integers:
        """The log losses of the rows that train and of those that validate, in whole units: (2,)."""
        data, scores = self.data, self.growth.scores
        return np.array(
            [loss_sum(scores[rows], data.labels[rows]) for rows in (data.training, ~data.training)], np.int64
        )

    def _take_losses(self, total: Integers) -> NDArray[np.float64]:
        """The mean losses (2,); the forest is the best so far if it has the least of the rows that validate."""
        if total.shape != (2,):
            raise ProtocolError("the banks' losses must be two numbers")
        growth = self.growth
        rows = np.array([self.all_rows.training, self.all_rows.validation])
        losses = np.asarray(total / LOSS_UNIT / rows, np.float64)
        merit = -float(losses[1])
        if not self.config.patience or growth.best.rounds == 0 or merit > growth.best.merit:
            best = Best(merit=merit, rounds=growth.round, scores=growth.scores)
            self.growth = replace(growth, best=best)
        return losses

    def _common_splits(self, total: Integers, homes: Sequence[Integers]) -> dict[int, tuple[int, BestSplit]]:
        """By node the owner and the best split by all banks' sums, as it is at this bank's merged bins."""
        nodes = len(self.growth.places)
        shapes = [(nodes, len(shape), shape.width) for shape in self._shapes]
        # Of the banks' own columns gradient, hessian and rows; of others gradient, hessian, and who allows a split.
        sizes = [3 * int(np.prod(shape)) for shape in shapes]
        if total.shape != (sum(sizes),):
            raise ProtocolError("the banks' sums are not as many as the nodes, columns and bins")
        of_banks, *of_others = np.split(total, np.cumsum(sizes)[:-1])
        own = of_banks.reshape(*shapes[0], 3)
        # Every row is in one bin of each of its bank's columns.
        totals = own[:, 0].sum(axis=1)
        sums, candidates = [own[..., :2]], [self._candidates(own[..., 2], totals[:, 2])]
        for numbers, shape in zip(of_others, shapes[1:], strict=True):
            of_party, allowed = np.split(numbers, [2 * len(numbers) // 3])
            sums.append(of_party.reshape(*shape, 2))
            candidates.append(_any(allowed.reshape(shape)))
        self._take_totals(totals[:, :2])
        best = self._search(sums, candidates, [unmerged(nodes, shape) for shape in self._shapes])
        return {
            node: (owner, split if owner == 0 else _at_home(split, homes[owner - 1][node]))
            for node, (owner, split) in best.items()
        }

    def _take_totals(self, totals: Integers) -> None:
        """The sums (k, 2) of the nodes over all banks; roots have their values by them."""
        growth = replace(self.growth, totals=totals)
        if growth.level == 0:
            values = growth.forest.values.copy()
            values[growth.places] = weight(totals, *UNBOUNDED, self.config) * self._rate
            growth = replace(growth, forest=replace(growth.forest, values=values))
        self.growth = growth


def _directions(candidates: Flags) -> Integers:
    """Which splits (k, c, width, 2, 2) a bank's rows allow, as numbers (k, c, width) that add up."""
    places = _DIRECTION_BITS * np.arange(4).reshape(2, 2)
    return np.asarray((candidates.astype(np.int64) << places).sum(axis=(3, 4)))


def _any(allowed: Integers) -> Flags:
    """Which splits the rows of any bank allow, from the total (k, c, width) of `_directions`."""
    counts = allowed[..., None] >> (_DIRECTION_BITS * np.arange(4))
    flags = counts & ((1 << _DIRECTION_BITS) - 1) > 0
    return np.asarray(flags.reshape(*allowed.shape, 2, 2))


def _at_home(split: BestSplit, homes: Integers) -> BestSplit:
    """A common split at one bank, whose bins go where their homes (c, width) go."""
    left, width = split.left.copy(), homes.shape[1]
    left[:width] = split.left[homes[split.column]]
    return replace(split, left=left)
