"""Splits of one bin each: a passive party that obeys any split tells, bin by bin, which rows are in it."""

import numpy as np

from experiments.attacks.active import ActiveAttack, By, Stage
from experiments.attacks.boosting.truth import start
from fl.binning import UNKNOWN
from fl.boosting import NOBODY, YOU, GrowRequest, Keys, Level, Members, Task, packed, unpacked
from fl.boosting.forest import Splits
from fl.config.boosting import BoostingConfig
from fl.messages import Letter


def ask_for_bins(stage: Stage) -> str:
    """Ask the victim for one split per bin of each column, all of the root of the first tree, and never for sums."""
    (model, setup), trees = start(stage), len(stage.config.section(BoostingConfig).trees_of(0))
    codes, shape = setup.codes, setup.binning.shape
    named = np.full(codes.shape, UNKNOWN, np.uint8)
    keys: Keys | None = Keys(sums={}, pad=None)
    for column, bins in enumerate(shape.bins):
        for bin_ in range(bins):
            request = GrowRequest(
                task=Letter.of(_task(trees, len(codes), keys)),
                level=Letter.of(_level(trees, column, bin_)),
                gradients=None,
                sides=None,
            )
            members = stage.read(stage.ask(stage.victim, request, model).members, Members)
            named[unpacked(members.left, len(codes))[0], column] = bin_
            keys = None
    known = codes != UNKNOWN
    right = (named == codes)[known]
    return f"{right.sum():,} of {right.size:,} bins of single rows, by {int(shape.bins.sum())} splits"


def _task(trees: int, rows: int, keys: Keys | None) -> Task:
    return Task(
        round=0,
        ahead=False,
        wanted=False,
        lighter_left=np.zeros(trees, bool),
        bank_left=packed(np.zeros((trees, rows), bool)),
        keys=keys,
    )


def _level(trees: int, column: int, bin_: int) -> Level:
    """A split of the first tree's root, and of no other."""
    left = packed(np.arange(256) == bin_)
    splits = Splits(np.array([column]), left[None])
    owners = np.where(np.arange(trees) == 0, YOU, NOBODY).astype(np.int8)
    return Level(owners=owners, splits=splits, pad=None)


FORGED = ActiveAttack(
    finding=5, title="splits of one bin each, in the bank's name", by=By.COORDINATOR, play=ask_for_bins
)
OWN = ActiveAttack(finding=5, title="splits of one bin each", by=By.BANK, play=ask_for_bins)
