"""Which values of a column a group of the scorecard stands for, in words: what people read beside its points."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fl.binning import Binning
from fl.explanation import printable
from fl.scorecard.grouping import Grouping
from fl.tables import Table

KNOWN, UNKNOWN = "known", "unknown"
"""The values of the bank's column of who is known to a party."""
MISSING, OTHERS = "missing", "any other"

ROUNDED, EXACT = 6, 17
"""Digits of the cuts as they are published, and at the party."""
_LEVELS, _LEVEL = 12, 60
"""Levels of a group that are named, and characters of each."""


def values_of_groups(
    binning: Binning, table: Table, grouping: Grouping, units: Sequence[str], digits: int = ROUNDED
) -> NDArray[np.str_]:
    """The values of each group, (all groups,), column by column, such as `> 3.5 to 7 days, missing` or `retail, trade`.

    table is the one that was binned, units are those of its columns. Numbers are rounded to so many digits, or as many
    more as tell neighbouring ones apart. A missing value without a bin of its own is named where such values go, in
    the fullest bin.
    """
    texts_of_groups = []
    for column in grouping.columns:
        of_bins = grouping.by_column[column]
        numeric = column < len(binning.cuts)
        cuts = _numbers(binning.cuts[column], digits) if numeric else []
        for group in range(of_bins.max() + 1):
            bins = set(np.flatnonzero(of_bins == group).tolist())
            texts = (
                _range(cuts, bins, units[column])
                if numeric
                else _levels(binning, column, bins, table.levels[column - len(binning.cuts)])
            )
            if numeric:
                texts += [
                    np.format_float_positional(value, trim="-")
                    for bin_, value in enumerate(binning.special[column], len(cuts) + 1)
                    if bin_ in bins
                ]
            gaps = binning.bins[column] - 1 if binning.missing[column] else binning.fullest[column]
            texts_of_groups.append(", ".join([*texts, MISSING] if int(gaps) in bins else texts))
    return np.array(texts_of_groups, np.str_)


def _range(cuts: list[str], bins: set[int], unit: str) -> list[str]:
    """The range of the values in adjacent bins, in a unit; none if they hold none."""
    values = sorted(bins & set(range(len(cuts) + 1)))
    if not values:
        return []
    low = f"> {cuts[values[0] - 1]}" if values[0] > 0 else ""
    high = cuts[values[-1]] if values[-1] < len(cuts) else ""
    if not low and not high:
        return ["any value"]
    text = f"{low} to {high}" if low and high else low or f"≤ {high}"
    return [f"{text} {unit}".rstrip()]


def _numbers(cuts: NDArray[np.float64], digits: int) -> list[str]:
    """The cuts with so many digits, or as many more as it takes to tell them apart; without an exponent."""
    while True:
        rounded = [float(f"{cut:.{digits}g}") for cut in cuts]
        if len(set(rounded)) == len(rounded) or digits >= EXACT:
            return [np.format_float_positional(cut, trim="-") for cut in rounded]
        digits += 1


def _levels(binning: Binning, column: int, bins: set[int], texts: tuple[str, ...]) -> list[str]:
    """The levels in bins by name, and as one those too rare for a bin of their own: they go where a new one does."""
    *places, others = binning.levels[column - len(binning.cuts)].tolist()
    named = [text for text, place in zip(texts, places, strict=True) if place in bins and place != others]
    named, more = [printable(text, _LEVEL) for text in named[:_LEVELS]], len(named) - _LEVELS
    if more > 0:
        named.append(f"{more} more")
    goes = int(binning.fullest[column]) if others < 0 else others
    return [*named, OTHERS] if goes in bins else named
