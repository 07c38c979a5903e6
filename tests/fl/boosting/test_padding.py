"""Sealed sides: opened by the bank's pad for just the splits that it chose, and by nothing else."""

import numpy as np
import pytest

from fl.binning import UNKNOWN
from fl.boosting.padding import combined, new_secret, pad, public_key, sides

BINS = np.array([4, 3], np.int64)
ROWS = 203


@pytest.fixture
def codes() -> np.ndarray:
    rng = np.random.default_rng(1)
    found = np.stack([rng.integers(0, bins, ROWS) for bins in BINS], 1).astype(np.uint8)
    found[rng.random(ROWS) < 0.3] = UNKNOWN
    return found


def flags(*bins: int) -> np.ndarray:
    return np.packbits(np.isin(np.arange(256), bins))


def test_both_ends_have_the_same_pad_and_nobody_else() -> None:
    bank, party, third = new_secret(), new_secret(), new_secret()
    shared = pad(bank, public_key(party), BINS, ROWS)
    assert shared.shape == (8, 26)
    np.testing.assert_array_equal(shared, pad(party, public_key(bank), BINS, ROWS))
    assert (shared != pad(third, public_key(bank), BINS, ROWS)).mean() > 0.9


def test_a_pad_opens_the_sides_of_its_split(codes: np.ndarray) -> None:
    bank, party = new_secret(), new_secret()
    sealed = sides(codes, BINS) ^ pad(party, public_key(bank), BINS, ROWS)
    columns, left = np.array([0, 1, 0]), np.stack([flags(0, 1), flags(2, UNKNOWN), flags(1, 3)])

    of_splits = combined(pad(bank, public_key(party), BINS, ROWS), BINS, columns, left)
    opened = combined(sealed, BINS, columns, left) ^ of_splits

    found = np.unpackbits(opened, axis=1, count=ROWS).astype(bool)
    for split, (column, bins) in enumerate(zip(columns, ((0, 1), (2, UNKNOWN), (1, 3)), strict=True)):
        np.testing.assert_array_equal(found[split], np.isin(codes[:, column], bins))


def test_sealed_sides_tell_nothing_of_the_bins(codes: np.ndarray) -> None:
    # Where all bits of a row of the matrix are equal, a seal that repeats would show.
    codes[:] = 0
    sealed = sides(codes, BINS) ^ pad(new_secret(), public_key(new_secret()), BINS, ROWS)
    ones = np.unpackbits(sealed, axis=1, count=ROWS)
    assert abs(ones.mean() - 0.5) < 0.06
    assert len(np.unique(sealed, axis=0)) == len(sealed)


def test_what_is_opened_opens_no_other_split(codes: np.ndarray) -> None:
    bank, party = new_secret(), new_secret()
    sealed = sides(codes, BINS) ^ pad(party, public_key(bank), BINS, ROWS)
    columns, left = np.array([0, 0]), np.stack([flags(0, 1), flags(0)])
    pads = combined(pad(bank, public_key(party), BINS, ROWS), BINS, columns, left)

    wrong = combined(sealed, BINS, columns[1:], left[1:])[0] ^ pads[0]

    truth = codes[:, 0] == 0
    agree = (np.unpackbits(wrong, count=ROWS).astype(bool) == truth).mean()
    assert 0.3 < agree < 0.7


def test_a_public_key_that_is_no_point_is_refused() -> None:
    with pytest.raises(ValueError, match="shared"):
        pad(new_secret(), np.zeros(32, np.uint8), BINS, ROWS)
