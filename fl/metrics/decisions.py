"""What does a score change at the counter? Approval at a given risk and its inverse; swap sets."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fl.metrics.checks import Floats, check_labels, check_scores, check_share
from fl.metrics.discrimination import cumulative_counts


class SwapGroup(NamedTuple):
    """Number of applicants (a fraction where ties are split) and their bad rate (NaN in an empty group)."""

    applicants: float
    bad_rate: float


class SwapSet(NamedTuple):
    """Who changes sides when a challenger replaces the model in use, at the same approval rate."""

    approved_by_both: SwapGroup
    swapped_in: SwapGroup
    swapped_out: SwapGroup
    refused_by_both: SwapGroup


def approval_weights(pd: Floats, approval: float) -> Floats:
    """For each row (n,) the chance to be approved when the floor(n * approval) rows of lowest PD are.

    >>> approval_weights(np.array([0.1, 0.2, 0.2, 0.4]), approval=0.5).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    # The small constant undoes rounding such as 0.29 * 100 = 28.999999999999996.
    places = int(np.floor(check_share("approval", approval) * len(pd) + 1e-9))
    if not places:
        return np.zeros(len(pd))
    cut_off = np.partition(pd, places - 1)[places - 1]
    below, tied = pd < cut_off, pd == cut_off
    chance: float = (places - below.sum()) / tied.sum()
    return np.where(tied, chance, below.astype(np.float64))


def bad_rate_at_approval(labels: ArrayLike, pd: ArrayLike, approval: float) -> float:
    """Bad rate among the share `approval` of applicants with the lowest PD; ValueError if that is nobody.

    >>> bad_rate_at_approval([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], approval=0.5)
    0.5
    """
    bads = check_labels(labels)
    weights = approval_weights(check_scores(pd, len(bads)), approval)
    if not weights.any():
        raise ValueError(f"an approval rate of {approval:g} approves none of {len(bads)} applicants")
    return float(weights[bads].sum() / weights.sum())


def approval_rate_at_bad_rate(labels: ArrayLike, pd: ArrayLike, bad_rate: float) -> float:
    """Largest share of applicants, taken from the lowest PD up, whose bad rate does not exceed `bad_rate`.

    >>> approval_rate_at_bad_rate([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], bad_rate=0.4)
    0.75
    """
    limit = check_share("bad_rate", bad_rate)
    _, bad, rows = cumulative_counts(labels, pd)
    approved = np.arange(1, rows[-1] + 1)
    # Between the ends of a group of equal PDs the expected number of bads rises in a straight line.
    expected = np.interp(approved, np.append(0.0, rows), np.append(0.0, bad))
    # The tolerance, a billionth of an applicant, admits a rate that equals the limit but for rounding.
    within = np.flatnonzero(expected <= limit * approved + 1e-9)
    return float(approved[within[-1]] / rows[-1]) if len(within) else 0.0


def swap_set(labels: ArrayLike, pd_a: ArrayLike, pd_b: ArrayLike, approval: float) -> SwapSet:
    """What changes when model `b` replaces model `a` and the same share `approval` is granted credit.

    `swapped_in` are refused by a and approved by b, `swapped_out` the reverse; a better model swaps in fewer
    bads than it swaps out. Where a cut-off splits equal PDs, one lot per applicant decides in both models, so
    that a model never swaps anyone with itself.

    >>> swapped = swap_set([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], [0.1, 0.3, 0.2, 0.4], approval=0.5)
    >>> swapped.swapped_in, swapped.swapped_out
    (SwapGroup(applicants=1.0, bad_rate=0.0), SwapGroup(applicants=1.0, bad_rate=1.0))
    """
    bads = check_labels(labels)
    a = approval_weights(check_scores(pd_a, len(bads)), approval)
    b = approval_weights(check_scores(pd_b, len(bads)), approval)

    def group(weights: Floats) -> SwapGroup:
        total = float(weights.sum())
        return SwapGroup(total, float(weights[bads].sum()) / total if total else float("nan"))

    both = np.minimum(a, b)
    return SwapSet(group(both), group(b - both), group(a - both), group(1 - np.maximum(a, b)))
