"""A thin layer over Microsoft SEAL (through `tenseal.sealapi`): parameters, and polynomials as NumPy arrays.

SEAL's Python binding reads and writes objects only by path, and reads single coefficients only. Here a file in memory
stands for the path, and plaintexts and ciphertexts are built by writing SEAL's uncompressed serialised form, which
takes a quarter of the time that parsing its text form does. Objects of this module serve one thread and one process
at a time.
"""

import os
import struct
import tempfile
import weakref
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow
from numpy.typing import NDArray
from tenseal import sealapi

from fl.errors import ConfigError, ProtocolError

Coefficients = NDArray[np.uint64]

DEGREE: Final = 8192
"""N: ciphertexts are pairs of polynomials modulo X^N + 1."""

PRIME_BITS: Final = (60, 60, 17)
"""Lengths of the coefficient modulus' primes. SEAL reserves the last one for key
switching, which sums do not need; it is as short as SEAL can make one. Replies are switched to the first alone.
"""

MAX_PLAIN_BITS: Final = 51
"""Longest plaintext modulus: leaves 8 bits of noise to a reply of one 60-bit prime, 12
standard deviations of rounding.
"""


_HEADER_BYTES: Final = 16


class Scratch:
    """A path that SEAL can write to and read from: in memory on Linux, else in a private temporary folder.

    Where it is a folder, an owner's secret key passes through a file that only its user can read, whenever it is
    saved or restored; the file is overwritten by the next object and removed with this one.
    """

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("siloscore")
            self.path = f"/proc/self/fd/{self._file}"
        else:
            folder = tempfile.TemporaryDirectory(prefix="siloscore-", ignore_cleanup_errors=True)
            weakref.finalize(self, folder.cleanup)
            self.path = str(Path(folder.name) / "object")
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.path, flags, 0o600)
        # The last one made is called first, so the file is closed before its folder is removed.
        weakref.finalize(self, os.close, self._file)

    def read(self) -> bytes:
        """All bytes that the file holds."""
        os.lseek(self._file, 0, os.SEEK_SET)
        return os.read(self._file, os.fstat(self._file).st_size)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Makes these bytes the file's content."""
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, data)
        os.ftruncate(self._file, len(data))


class Lattice:
    """SEAL's BFV at the parameters above and a plaintext modulus t = 2^plain_bits.

    Fan and Vercauteren 2012 (eprint 2012/144), as in SEAL 4. Of a 137-bit coefficient modulus at N = 8192 the
    Homomorphic Encryption Standard (Albrecht et al. 2018) expects more than 192 bits of classical security.
    """

    def __init__(self, plain_bits: int) -> None:
        if not 1 < plain_bits <= MAX_PLAIN_BITS:
            raise ConfigError(
                f"The lattice engine carries sums of 2 to {MAX_PLAIN_BITS} bits, not {plain_bits}."
            )
        self.context = context(DEGREE, PRIME_BITS, plain_bits)
        self.plain_modulus = 1 << plain_bits
        self.first = self.context.first_parms_id()
        self.last = self.context.last_parms_id()
        parameters = self.context.first_context_data().parms()
        self.primes = [prime.value() for prime in parameters.coeff_modulus()]
        self.evaluator = sealapi.Evaluator(self.context)
        self._scratch = Scratch()
        self._plain = _Form(
            struct.pack("<4QQd", 0, 0, 0, 0, DEGREE, 1.0), DEGREE
        )  # level, coefficients, scale
        # Of ciphertexts, by the number of their primes: both, or one after the switch.
        self._ciphertexts = {
            primes: _pair_form(level, primes)
            for level, primes in ((self.first, len(self.primes)), (self.last, 1))
        }

    def plaintext(self, positions: NDArray[np.int64], values: Coefficients) -> Any:
        """The polynomial with these coefficients (below t) at these positions, and zeros elsewhere."""
        self._plain.words[positions] = values
        made = self.load(sealapi.Plaintext(), self._plain.data)
        self._plain.words[positions] = 0
        return made

    def mask(self, positions: NDArray[np.int64], values: Coefficients) -> Any:
        """As `plaintext`, in NTT form at the first modulus: what encrypted blocks are multiplied with."""
        made = self.plaintext(positions, values)
        self.evaluator.transform_to_ntt_inplace(made, self.first)
        return made

    def ciphertext(self, c0: NDArray[np.uint64], c1: NDArray[np.uint64]) -> Any:
        """A ciphertext from coefficients (primes, up to N) of both parts: both primes, or one after the switch."""
        form = self._ciphertexts[len(c0)]
        words = form.words.reshape(2, len(c0), DEGREE)
        words[:] = 0
        words[0, :, : c0.shape[1]] = c0
        words[1, :, : c1.shape[1]] = c1
        return self.load(sealapi.Ciphertext(), form.data)

    def in_ntt_form(self, c0: Coefficients, c1: Coefficients) -> Any:
        """A ciphertext from both parts in NTT form, modulo both primes: (2, N) each."""
        form = _pair_form(self.first, len(self.primes), is_ntt_form=True)
        form.words[:] = np.stack([c0, c1]).ravel()
        return self.load(sealapi.Ciphertext(), form.data)

    def parts(self, ciphertext: Any, first: int) -> Coefficients:
        """Of a ciphertext of one prime: the first coefficients of c0, then c1 in full; (first + N,)."""
        words = self.words(ciphertext, 2 * DEGREE)
        return np.append(words[:first], words[DEGREE:])

    def words(self, thing: Any, count: int) -> Coefficients:
        """All numbers of a key or ciphertext, of which there are `count`: the end of what SEAL saves."""
        content = _inflated(self.save(thing))
        return np.frombuffer(content, np.uint64, count, len(content) - 8 * count)

    def coefficients(self, plaintext: Any, first: int) -> Coefficients:
        """The first coefficients of a decrypted polynomial, whose leading zeros SEAL has dropped."""
        known = min(first, plaintext.coeff_count())
        out = np.zeros(first, np.uint64)
        out[:known] = [plaintext[i] for i in range(known)]
        return out

    def save(self, thing: Any) -> bytes:
        """SEAL's own serialised form."""
        thing.save(self._scratch.path)
        return self._scratch.read()

    def load(self, empty: Any, data: bytes | bytearray | memoryview) -> Any:
        """Fills an empty SEAL object from its serialised form; ProtocolError when that is not valid here."""
        self._scratch.write(data)
        try:
            empty.load(self.context, self._scratch.path)
        except (RuntimeError, ValueError):
            raise ProtocolError(
                f"A {type(empty).__name__} does not fit the parameters of the lattice engine "
                f"(N = {DEGREE}, {sum(PRIME_BITS)} bits, t = {self.plain_modulus})."
            ) from None
        return empty


def _inflated(saved: bytes) -> bytes:
    """The body of an object that SEAL has saved, behind the header that says how it is compressed."""
    body, method = saved[_HEADER_BYTES:], saved[5]
    if method == int(sealapi.COMPR_MODE_TYPE.ZSTD):
        return bytes(pyarrow.CompressedInputStream(pyarrow.py_buffer(body), "zstd").read())
    return zlib.decompress(body) if method == int(sealapi.COMPR_MODE_TYPE.ZLIB) else body


@lru_cache
def context(degree: int, prime_bits: tuple[int, ...], plain_bits: int) -> Any:
    """SEAL's context of these parameters. Raises ConfigError when they fall short of 128-bit security."""
    parameters = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.BFV)
    parameters.set_poly_modulus_degree(degree)
    parameters.set_coeff_modulus(sealapi.CoeffModulus.Create(degree, list(prime_bits)))
    parameters.set_plain_modulus(sealapi.Modulus(1 << plain_bits))
    made = sealapi.SEALContext(parameters, True, sealapi.SEC_LEVEL_TYPE.TC128)
    if not made.parameters_set():
        raise ConfigError(
            f"Lattice parameters of degree {degree} with {sum(prime_bits)} bits fall short of 128-bit security "
            f"or are unusable: {made.parameters_error_name()}."
        )
    return made


class _Form:
    """A serialised object whose numbers are overwritten in place: `words` is a view into `data`."""

    def __init__(self, head: bytes, words: int) -> None:
        body = struct.pack("<Q", words) + bytes(8 * words)
        array = _header(len(body)) + body
        self.data = bytearray(_header(len(head) + len(array)) + head + array)
        self.words = np.frombuffer(self.data, np.uint64, words, len(self.data) - 8 * words)


def _pair_form(level: Any, primes: int, is_ntt_form: bool = False) -> _Form:
    """Two polynomials. Their head: level, form, number of polynomials, N, primes, scale, BGV's correction factor."""
    head = struct.pack("<4Q?QQQdQ", *level, is_ntt_form, 2, DEGREE, primes, 1.0, 1)
    return _Form(head, 2 * primes * DEGREE)


def _header(length: int) -> bytes:
    """SEAL's header of an uncompressed object of that many bytes."""
    return _version() + struct.pack("<BHQ", 0, 0, _HEADER_BYTES + length)


@lru_cache
def _version() -> bytes:
    """Magic number, header size and version as this build of SEAL writes them: it refuses other versions."""
    scratch = Scratch()
    sealapi.Plaintext().save(scratch.path)
    return scratch.read()[:5]
