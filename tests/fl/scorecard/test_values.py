from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fl.binning import Binning
from fl.scorecard.grouping import DROPPED, Grouping
from fl.scorecard.values import EXACT, ROUNDED, values_of_groups
from fl.tables import Table

LEVELS = ("coal", "food", "retail", "trade")


def table(numbers: list, codes: list) -> Table:
    rows = len(numbers)
    return Table(
        np.array(numbers, float).reshape(rows, 1),
        ("turnover",),
        np.array(codes, np.int32).reshape(rows, 1),
        ("sector",),
        (LEVELS,),
        np.ones(rows, bool),
    )


def grouping(binning: Binning, rng: np.random.Generator) -> Grouping:
    """Neighbouring values joined at random, levels and gaps with anything."""
    groups = []
    for column, bins in enumerate(binning.bins):
        own = np.zeros(bins, int)
        values = int(bins - binning.missing[column])
        own[:values] = np.cumsum(rng.integers(0, 2, values)) if column == 0 else rng.integers(0, 3, values)
        own[values:] = rng.integers(0, own.max() + 2)
        groups.append(np.unique(own, return_inverse=True)[1].astype(np.int16))
    return Grouping(binning.shape, np.concatenate(groups))


def reads(text: str, number: float, level: str | None) -> bool:
    """Whether the text holds the value, a number or a level; NaN and None stand for neither."""
    found = False
    for part in text.split(", "):
        if part == "missing":
            found |= level is None and np.isnan(number)
        elif part == "any value":
            found |= not np.isnan(number)
        elif part.startswith("> "):
            low, _, high = part[2:].partition(" to ")
            found |= float(low) < number <= float(high or "inf")
        elif part.startswith("≤ "):
            found |= number <= float(part[2:])
        else:
            found |= part == level
    return found


rows = st.lists(
    st.tuples(st.one_of(st.integers(-20, 20), st.just(np.nan)), st.integers(-1, len(LEVELS) - 1)),
    min_size=1,
    max_size=80,
)


@given(rows, st.integers(2, 8), st.integers(1, 12), st.integers(0, 100))
def test_whoever_reads_the_values_finds_the_group_of_every_row(
    data: list, bins: int, minimum: int, seed: int
) -> None:
    found = table([number for number, _ in data], [code for _, code in data])
    binning = Binning.fit(found, np.arange(len(found)), bins, minimum, {})
    grouped = grouping(binning, np.random.default_rng(seed))
    texts = np.split(values_of_groups(binning, found, grouped, ["", ""]), np.cumsum(grouped.counts)[:-1])
    for row, groups in enumerate(grouped.transform(binning.transform(found))):
        number, code = data[row]
        hits = [group for group, text in enumerate(texts[0]) if reads(text, number, None)]
        assert hits == [groups[0]]
        level = LEVELS[code] if code >= 0 else None
        hits = [group for group, text in enumerate(texts[1]) if reads(text, np.nan, level)]
        # A level that is too rare to be named is one of the others.
        assert hits == [groups[1]] or "any other" in texts[1][groups[1]].split(", ")


def test_what_they_look_like() -> None:
    numbers = [1.0] * 20 + [2.5] * 20 + [1234567.89] * 20 + [9e9] * 20 + [np.nan] * 20
    codes = [0] * 40 + [1] * 40 + [2] * 3 + [3] * 17
    found = table(numbers, codes)
    binning = Binning.fit(found, np.arange(100), 10, 10, {})
    plain = Grouping(binning.shape, np.array([0, 0, 1, 2, 3, 0, 1, 2], np.int16))
    assert values_of_groups(binning, found, plain, ["CNY", ""]).tolist() == [
        "≤ 2.5 CNY",
        "> 2.5 to 1234570 CNY",
        "> 1234570 CNY",
        "missing",
        "coal, any other, missing",
        "food",
        "trade",
    ]


def test_special_values_are_named() -> None:
    numbers = np.array([1.0] * 20 + [np.nan] * 60)
    special = np.array([np.nan] * 20 + [-999.0] * 20 + [99999999.0] * 20 + [np.nan] * 20)
    found = replace(table(numbers.tolist(), [0] * 80), special={"turnover": special})
    binning = Binning.fit(found, np.arange(80), 10, 10, {}, special=True)
    each = Grouping(binning.shape, np.array([0, 1, 2, 3, DROPPED], np.int16))
    assert values_of_groups(binning, found, each, ["CNY", ""]).tolist() == [
        "any value",
        "-999",
        "99999999",
        "missing",
    ]
    joined = Grouping(binning.shape, np.array([0, 1, 1, 0, DROPPED], np.int16))
    assert values_of_groups(binning, found, joined, ["CNY", ""]).tolist() == [
        "any value, missing",
        "-999, 99999999",
    ]


def test_cuts_are_told_apart_and_exact_where_that_is_asked_for() -> None:
    found = table([1234567.0, 1234568.0, 1234569.25] * 10, [0] * 30)
    binning = Binning.fit(found, np.arange(30), 10, 5, {})
    each = Grouping(binning.shape, np.array([0, 1, 2, DROPPED], np.int16))
    told = values_of_groups(binning, found, each, ["", ""], ROUNDED)
    assert told.tolist() == ["≤ 1234567, missing", "> 1234567 to 1234568", "> 1234568"]
    lonely = table([0.123456789, 9.0] * 10, [0] * 20)
    binning = Binning.fit(lonely, np.arange(20), 10, 5, {})
    each = Grouping(binning.shape, np.array([0, 1, DROPPED], np.int16))
    assert values_of_groups(binning, lonely, each, ["", ""]).tolist()[0] == "≤ 0.123457, missing"
    assert values_of_groups(binning, lonely, each, ["", ""], EXACT).tolist()[0] == "≤ 0.123456789, missing"


def test_many_levels_are_counted_and_long_ones_cut_off() -> None:
    levels = (*(f"sector {number}" for number in range(15)), "x" * 90 + "\n")
    codes = np.repeat(np.arange(16), 5).astype(np.int32)[:, None]
    none, known = np.empty((80, 0)), np.ones(80, bool)
    found = Table(none, (), codes, ("sector",), (levels,), known)
    binning = Binning.fit(found, np.arange(80), 20, 5, {})
    groups = np.array([0] * 15 + [1], np.int16)
    few, long = values_of_groups(binning, found, Grouping(binning.shape, groups), [""]).tolist()
    assert few.startswith("sector 0, sector 1, ")
    assert "sector 11, 3 more" in few
    assert long.startswith("x" * 59 + "…")


def test_a_column_without_points_has_no_values() -> None:
    found = table([1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1])
    binning = Binning.fit(found, np.arange(4), 4, 1, {})
    groups = np.array([DROPPED] * int(binning.bins[0]) + [0, 1], np.int16)
    texts = values_of_groups(binning, found, Grouping(binning.shape, groups), ["", ""])
    assert texts.tolist() == ["coal, any other, missing", "food"]
