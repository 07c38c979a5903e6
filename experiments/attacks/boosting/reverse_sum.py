"""Reverse sum: gradients whose low digits name rows, so that a sum tells which rows are in a bin.

Weng et al., "Practical privacy attacks on vertical federated learning", arXiv 2011.09290. The bank rounds what it
encrypts to as few digits as `boosting.precision` may have, and marks a row by one of the digits below; each digit of a
sum then says in which bin the row is. The passive party adds up what it cannot read, so it cannot notice.
"""

import numpy as np
from numpy.typing import NDArray

from experiments.attacks.active import ActiveAttack, By, Stage
from experiments.attacks.boosting.truth import start
from fl.boosting import Gradients, GrowRequest, Keys, Level, Sums, Task, packed
from fl.boosting.forest import Splits
from fl.boosting.gradients import (
    base_score,
    gradients,
    most_entries,
    ranges,
    sampled_columns,
    sampled_rows,
)
from fl.boosting.layouts import summed_columns, wanted_sums
from fl.config.boosting import BoostingConfig
from fl.encrypted_sums import new_owner
from fl.messages import Letter

KEPT = 4
"""Digits after the binary point that the forest still learns from: the fewest that the settings allow."""


def reverse(stage: Stage) -> str:
    """Mark rows in the gradients of the first round, and read their bins from the sums of its first tree."""
    (model, setup), config = start(stage), stage.config.section(BoostingConfig)
    shape, digits, trees = setup.binning.shape, config.precision - KEPT, config.trees_of(0)
    samples = sampled_rows(setup.training, setup.seed, trees, config.row_share)
    columns, told = summed_columns(
        sampled_columns(len(shape), stage.victim, setup.seed, trees, config.column_share), shape.bins
    )
    listed = np.flatnonzero(samples.any(axis=0))
    rows, base = setup.positions[listed], base_score(stage.joined.labels[setup.positions[setup.training]])
    known = np.flatnonzero(stage.joined.coverage[stage.victim][rows] & samples[0, listed])
    honest = gradients(np.full(len(rows), base), stage.joined.labels[rows], config.precision)
    values, marked = mark(honest, known, digits)
    owner = new_owner(config.encryption, most_entries(setup.training, config), ranges(config))
    offsets, bins = np.array([0, len(values)]), np.tile(told, len(trees))
    encrypted, ticket = owner.encrypt(values, offsets, [bins])
    if owner.row_wise:
        ticket = owner.regroup(ticket, np.arange(len(values)), offsets)
    nobody = np.empty(0, bool)
    request = GrowRequest(
        task=Letter.of(
            Task(
                round=0,
                ahead=True,
                wanted=True,
                lighter_left=nobody,
                bank_left=packed(np.zeros((len(trees), len(setup.positions)), bool)),
                keys=Keys(sums=owner.public_key(), pad=None),
            )
        ),
        level=Letter.of(Level(owners=np.empty(0, np.int8), splits=Splits.none(), pad=None)),
        gradients=Letter.of(Gradients(encrypted)),
        sides=None,
    )
    sums = stage.read(stage.ask(stage.victim, request, model).sums, Sums)
    wanted = wanted_sums(sums.homes.astype(np.int64), columns, told, shape).reshape(1, -1)
    opened = zip(columns[0], owner.decrypt(sums.sums, ticket, bins, wanted), strict=False)
    named = np.stack(
        [read_marks(of_bins[0, : shape.bins[c] - 1], marked, digits) for c, of_bins in opened], 1
    )
    right = named == setup.codes[listed[marked.ravel()]][:, columns[0]]
    return f"{right.sum():,} of {right.size:,} bins of {marked.size} rows, by one encryption of gradients"


def mark(
    values: NDArray[np.int64], rows: NDArray[np.int_], digits: int
) -> tuple[NDArray[np.int64], NDArray[np.int_]]:
    """Numbers (n, k) whose low binary digits are replaced by marks of one row each, and those rows, (k, digits)."""
    width = values.shape[1]
    marked = rows[: width * digits].reshape(width, -1)
    values = values >> digits << digits
    for number, of_number in enumerate(marked):
        values[of_number, number] += 1 << np.arange(len(of_number))
    return values, marked


def read_marks(sums: NDArray[np.int64], marked: NDArray[np.int_], digits: int) -> NDArray[np.int64]:
    """The bin of each marked row, (k · digits,), by a column's sums (bins − 1, k): the last bin is not told."""
    there = sums[:, :, None] >> np.arange(marked.shape[1]) & 1
    last = np.ones((1, *there.shape[1:]), np.int64)
    return np.concatenate([there, last]).argmax(axis=0).ravel()


REVERSE_SUM = ActiveAttack(finding=4, title="reverse sum: rows marked in gradients", by=By.BANK, play=reverse)
