import numpy as np
import pytest
from gmpy2 import mpz

from fl.encrypted_sums.halves import Request
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.paillier.squeeze import Squeezing, to_array, to_numbers
from fl.errors import ConfigError, ProtocolError

from ..conftest import paillier_key

PACKING = Packing(1000, ((-2048, 2048), (0, 512)))


def one_bin(groups: int) -> Request:
    return Request({}, np.zeros(groups + 1, np.int64), np.array([1]))


@pytest.mark.parametrize("sums", [0, 1, 48, 49, 50, 130])
def test_many_sums_in_one_ciphertext_come_out_one_by_one(sums: int) -> None:
    key = paillier_key()
    squeezing = Squeezing(PACKING, key.public)
    values = np.random.default_rng(1).integers([-(2**21), 0], [2**21 - 2**18, 512_001], (sums, 2))
    values[::7] = -2_048_000, 512_000

    ciphertexts = key.encrypt(PACKING.pack(values).tolist())
    squeezed = squeezing.squeeze(ciphertexts)

    assert squeezing.room >= 40
    request = one_bin(sums)
    assert len(squeezed) == squeezing.replies(request) == -(-sums // squeezing.room)
    decrypted = to_array([key.decrypt(one) for one in squeezed], key.public.plain_bytes)
    np.testing.assert_array_equal(squeezing.unpack(decrypted, request), values)


def test_what_is_more_than_its_sums_is_refused() -> None:
    squeezing = Squeezing(PACKING, paillier_key().public)
    with pytest.raises(ProtocolError, match="larger"):
        squeezing.unpack(to_array([mpz(1) << 100], 256), one_bin(1))


def test_sums_larger_than_a_plaintext_are_refused() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        Squeezing(Packing(2**30, ((-(2**32), 2**32),) * 33), paillier_key().public)


def test_numbers_out_of_range_are_refused() -> None:
    numbers = [mpz(0), mpz(255), mpz(256)]
    array = to_array(numbers, 3)
    assert array.shape == (3, 3)
    assert to_numbers(array, mpz(257)) == numbers
    with pytest.raises(ProtocolError, match="range"):
        to_numbers(array, mpz(256))
