import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl.encrypted_sums.lattice import form
from fl.encrypted_sums.lattice.form import Planes
from fl.encrypted_sums.packing import Packing
from fl.errors import ConfigError, ProtocolError


@given(st.lists(st.integers(0, 2**60 - 1), max_size=9))
def test_words_of_sixty_bits_take_seven_and_a_half_bytes(words: list[int]) -> None:
    data = form.to_bytes(np.array(words, np.uint64))

    assert len(data) == form.byte_length(len(words)) == 15 * ((len(words) + 1) // 2)
    assert form.from_bytes(data, len(words)).tolist() == words


@given(st.lists(st.binary(max_size=5), max_size=4))
def test_objects_side_by_side_come_apart(pieces: list[bytes]) -> None:
    assert form.cut(form.join(pieces), len(pieces)) == pieces
    with pytest.raises(ProtocolError, match="lengths"):
        form.cut(form.join(pieces), len(pieces) + 1)


@pytest.mark.parametrize("lengths", [[-1, 4], [1, 1]])
def test_objects_of_impossible_lengths_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ProtocolError, match="as long as"):
        form.cut(form.join([b"ab", b"c"]) | {"lengths": np.array(lengths)}, 2)


@pytest.mark.parametrize(
    ("rows", "ranges", "planes", "bits"),
    [
        (21_000, ((-2048, 2048), (0, 512)), 1, 50),
        (300_000, ((-2048, 2048), (0, 512)), 2, 31),
        (1_000_000, ((0, 1),), 1, 20),
        (1, ((0, 0),), 1, 2),
    ],
)
def test_the_plaintext_modulus_follows_the_rows(
    rows: int, ranges: tuple[tuple[int, int], ...], planes: int, bits: int
) -> None:
    made = Planes(Packing(rows, ranges))
    assert (len(made), made.lattice.plain_modulus) == (planes, 1 << bits)


def test_numbers_wider_than_a_plaintext_are_refused() -> None:
    with pytest.raises(ConfigError, match="51 bits"):
        Planes(Packing(2**30, ((0, 2**22),)))
