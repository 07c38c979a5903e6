"""Padded sides: opened by the bank's pad for the splits that it chose, in the rows of their nodes, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl.binning import UNKNOWN
from fl.boosting import unpacked
from fl.boosting.forest import Splits
from fl.boosting.layouts import NOWHERE
from fl.boosting.padding import PadSecret, PadUse, choices, combined, sides, within
from fl.errors import ProtocolError

BINS = np.array([4, 3], np.int64)
ROWS = 203


def codes_of(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, bins, rows) for bins in BINS], 1).astype(np.uint8)
    codes[rng.random(rows) < 0.3] = UNKNOWN
    return codes


@pytest.fixture
def codes() -> np.ndarray:
    return codes_of(ROWS, 1)


def splits_of(*splits: tuple[int, tuple[int, ...]]) -> Splits:
    """Splits of these columns that send these bins left."""
    flags = [np.isin(np.arange(256), bins) for _, bins in splits]
    return Splits(np.array([column for column, _ in splits], np.int64), np.packbits(flags, axis=1))


def use_of(bank: PadSecret, party: PadSecret) -> PadUse:
    return PadUse(study="s", model="m/1", keys={"bank": bank.public_key, "tax": party.public_key})


def pad_of_bank(bank: PadSecret, party: PadSecret) -> np.ndarray:
    return bank.pad(use_of(bank, party), "tax", BINS, ROWS)


def pad_of_party(bank: PadSecret, party: PadSecret) -> np.ndarray:
    return party.pad(use_of(bank, party), "bank", BINS, ROWS)


def test_both_ends_have_the_same_pad_and_nobody_else() -> None:
    bank, party, third = PadSecret.new(), PadSecret.new(), PadSecret.new()
    shared = pad_of_bank(bank, party)
    assert shared.shape == (8, 26)
    np.testing.assert_array_equal(shared, pad_of_party(bank, party))
    assert (shared != pad_of_party(bank, third)).mean() > 0.9


@pytest.mark.parametrize(
    "other",
    [
        {"study": "t"},
        {"model": "m/2"},
        {"keys": lambda keys: {"bank": keys["bank"], "supply": keys["tax"]}},
        {"keys": lambda keys: keys | {"supply": keys["tax"]}},
    ],
    ids=["another study", "another model", "keys of another", "another key of the party"],
)
def test_a_pad_serves_one_model_of_one_study_between_two_parties(other: dict) -> None:
    bank, party = PadSecret.new(), PadSecret.new()
    use = use_of(bank, party)
    changed = {name: change(use.keys) if callable(change) else change for name, change in other.items()}
    pad = party.pad(replace(use, **changed), "bank", BINS, ROWS)
    assert (pad != pad_of_bank(bank, party)).mean() > 0.9


def test_a_pad_opens_the_sides_of_its_split(codes: np.ndarray) -> None:
    bank, party = PadSecret.new(), PadSecret.new()
    padded = sides(codes, BINS) ^ pad_of_party(bank, party)
    splits = splits_of((0, (0, 1)), (1, (2, UNKNOWN)), (0, (1, 3)))
    chosen = choices(BINS, splits)

    opened = combined(padded, chosen) ^ combined(pad_of_bank(bank, party), chosen)

    np.testing.assert_array_equal(unpacked(opened, ROWS), splits.outcomes(codes))


def test_padded_sides_tell_nothing_of_the_bins(codes: np.ndarray) -> None:
    # Where all bits of a row of the matrix are equal, a pad that repeats would show.
    codes[:] = 0
    padded = sides(codes, BINS) ^ pad_of_party(PadSecret.new(), PadSecret.new())
    ones = np.unpackbits(padded, axis=1, count=ROWS)
    assert abs(ones.mean() - 0.5) < 0.06
    assert len(np.unique(padded, axis=0)) == len(padded)


def test_what_is_opened_opens_no_other_split(codes: np.ndarray) -> None:
    bank, party = PadSecret.new(), PadSecret.new()
    padded = sides(codes, BINS) ^ pad_of_party(bank, party)
    chosen = choices(BINS, splits_of((0, (0, 1)), (0, (0,))))
    pads = combined(pad_of_bank(bank, party), chosen)

    wrong = combined(padded, chosen[1:])[0] ^ pads[0]

    truth = codes[:, 0] == 0
    agree = (unpacked(wrong, ROWS) == truth).mean()
    assert 0.3 < agree < 0.7


@st.composite
def levels(draw: st.DrawFn) -> dict:
    """Rows in nodes, some nowhere, splits of some of the nodes, and the party's matrix under a pad."""
    rows, nodes = draw(st.integers(1, 60)), draw(st.integers(1, 5))
    seed = draw(st.integers(0, 10**6))
    rng, codes = np.random.default_rng(seed), codes_of(rows, seed)
    split = np.flatnonzero(rng.random(nodes) < 0.6)
    splits = Splits.none()
    for _ in split:
        splits = splits.plus(splits_of((int(rng.integers(2)), tuple(rng.integers(0, 3, 2)))))
    matrix = sides(codes, BINS)
    pad = rng.integers(0, 256, matrix.shape, np.uint8)
    chosen = choices(BINS, splits)
    return {
        "nodes": rng.integers(NOWHERE, nodes, rows).astype(np.int16),
        "split": split,
        "outcomes": splits.outcomes(codes),
        "relayed": combined(matrix ^ pad, chosen),
        "pads": combined(pad, chosen),
        "rng": rng,
    }


@given(levels())
def test_a_party_reads_the_sides_in_the_nodes_of_their_splits(level: dict) -> None:
    nodes, split = level["nodes"], level["split"]
    left = within(level["relayed"], nodes, split) ^ within(level["pads"], nodes, split)
    in_node = nodes == split[:, None]
    np.testing.assert_array_equal(unpacked(left, len(nodes)), (level["outcomes"] & in_node).any(axis=0))


@given(levels())
def test_of_rows_outside_of_a_split_s_node_its_sides_stay_padded(level: dict) -> None:
    nodes, split, pads = level["nodes"], level["split"], level["pads"]
    # Were sides other ones outside of the node, and the pad with them, nobody would be told anything else.
    flipped = np.packbits(
        (level["rng"].random((len(split), len(nodes))) < 0.5) & (nodes != split[:, None]), axis=1
    )
    np.testing.assert_array_equal(within(pads ^ flipped, nodes, split), within(pads, nodes, split))
    told = unpacked(within(pads, nodes, split), len(nodes))
    assert not told[~np.isin(nodes, split)].any()


def test_a_public_key_of_low_order_is_refused() -> None:
    use = PadUse(study="s", model="m/1", keys={"bank": np.zeros(32, np.uint8)})
    with pytest.raises(ProtocolError, match="the public key of bank's pads is of low order"):
        PadSecret.new().pad(use, "bank", BINS, ROWS)
