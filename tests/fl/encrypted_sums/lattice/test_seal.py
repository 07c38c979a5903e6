import gc
import os
from pathlib import Path

import numpy as np
import pytest
from tenseal import sealapi

from fl.encrypted_sums.lattice import seal
from fl.encrypted_sums.lattice.seal import DEGREE, MAX_PLAIN_BITS, Lattice, Scratch, context
from fl.errors import ConfigError, ProtocolError


@pytest.fixture(params=["memory", "folder"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    if request.param == "folder":
        monkeypatch.delattr(os, "memfd_create")
        monkeypatch.setattr(seal.tempfile, "tempdir", str(tmp_path))
    return request.param


@pytest.fixture(scope="module")
def lattice() -> Lattice:
    return Lattice(20)


def test_a_scratch_file_holds_what_was_written_last_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    scratch = Scratch()
    scratch.write(b"longer")
    scratch.write(b"short")
    assert scratch.read() == b"short"
    assert Path(scratch.path).read_bytes() == b"short"
    assert bool(list(tmp_path.iterdir())) == (kind == "folder")

    del scratch
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_objects_pass_through_either_kind_of_file(kind: str) -> None:
    lattice = Lattice(20)
    plaintext = lattice.plaintext(np.array([0, 5]), np.array([3, 7], np.uint64))

    again = lattice.load(sealapi.Plaintext(), lattice.save(plaintext))

    assert lattice.coefficients(again, 7).tolist() == [3, 0, 0, 0, 0, 7, 0]


def test_plaintexts_have_the_coefficients_given_and_no_others(lattice: Lattice) -> None:
    lattice.plaintext(np.arange(DEGREE), np.full(DEGREE, 9, np.uint64))

    plaintext = lattice.plaintext(np.array([DEGREE - 1, 1]), np.array([2**20 - 1, 4], np.uint64))

    expected = np.zeros(DEGREE, np.uint64)
    expected[[1, DEGREE - 1]] = 4, 2**20 - 1
    np.testing.assert_array_equal(lattice.coefficients(plaintext, DEGREE), expected)


def test_ciphertexts_have_the_coefficients_given(lattice: Lattice) -> None:
    c0, c1 = np.array([[1, 2, 3]], np.uint64), np.arange(DEGREE, dtype=np.uint64)[None]

    ciphertext = lattice.ciphertext(c0, c1)

    assert ciphertext.parms_id() == lattice.last
    np.testing.assert_array_equal(lattice.parts(ciphertext, 4), [1, 2, 3, 0, *range(DEGREE)])
    full = lattice.ciphertext(np.array([[5], [6]], np.uint64), np.zeros((2, 0), np.uint64))
    assert (full[0], full[DEGREE], full.parms_id()) == (5, 6, lattice.first)


@pytest.mark.parametrize(
    ("degree", "primes"), [(4096, (60, 60, 17)), (8192, (60, 60, 60, 60)), (2048, (54, 30))]
)
def test_parameters_below_128_bits_of_security_are_refused(degree: int, primes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="128-bit security"):
        context(degree, primes, 20)


@pytest.mark.parametrize("bits", [0, 1, MAX_PLAIN_BITS + 1])
def test_plaintexts_without_room_for_noise_are_refused(bits: int) -> None:
    with pytest.raises(ConfigError, match="bits"):
        Lattice(bits)


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"\x5e\xa1\x10\x04\x03\x00\x00\x00"])
def test_what_is_no_object_of_seal_is_refused(lattice: Lattice, data: bytes) -> None:
    with pytest.raises(ProtocolError, match="Ciphertext"):
        lattice.load(sealapi.Ciphertext(), data)
