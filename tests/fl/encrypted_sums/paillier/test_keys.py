import gmpy2
import pytest
from gmpy2 import mpz

from fl.encrypted_sums import new_owner, new_responder
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.paillier import PaillierResponder
from fl.encrypted_sums.paillier.keys import PrivateKey, PublicKey, new_key
from fl.encrypted_sums.paillier.squeeze import to_array
from fl.errors import ConfigError, ProtocolError

from ..conftest import paillier_key

GRADIENTS = ((-2048, 2048), (0, 512))


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return paillier_key()


def by_the_book(key: PrivateKey, ciphertext: mpz) -> mpz:
    """Decryption as Paillier 1999 states it, without the primes' shortcut."""
    n, square = key.public.n, key.public.square
    exponent = gmpy2.lcm(key.p - 1, key.q - 1)
    ratio = [(gmpy2.powmod(base, exponent, square) - 1) // n for base in (ciphertext, n + 1)]
    return ratio[0] * gmpy2.invert(ratio[1], n) % n


def test_encryption_and_decryption_are_paillers(key: PrivateKey) -> None:
    n = int(key.public.n)
    plaintexts = [0, 1, -1, n // 2, n - 1, 12345]

    ciphertexts = key.encrypt(plaintexts)

    for plaintext, ciphertext in zip(plaintexts, ciphertexts, strict=True):
        assert 0 < ciphertext < key.public.square
        assert key.decrypt(ciphertext) == by_the_book(key, ciphertext) == plaintext % n


def test_products_of_ciphertexts_are_sums(key: PrivateKey) -> None:
    one, other = key.encrypt([20, -23])
    assert key.decrypt(one * other % key.public.square) == key.public.n - 3


def test_the_randomness_of_encryptions_is_an_nth_residue_of_full_order(key: PrivateKey) -> None:
    residues = key.encrypt([0] * 40)
    assert len(set(residues)) == 40
    # Uniform residues have either character modulo either prime, independently.
    characters = {(gmpy2.legendre(one, key.p), gmpy2.legendre(one, key.q)) for one in residues}
    assert characters == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    assert all(gmpy2.powmod(one, (key.p - 1) * (key.q - 1), key.public.square) == 1 for one in residues)


def test_powers_of_the_stored_generator_are_powers(key: PrivateKey) -> None:
    half = key._halves[0]
    generator = half._powers[0][1]

    for exponent in (0, 1, 123456789 << 700, half._prime - 2):
        assert half.power(exponent) == gmpy2.powmod(generator, exponent, half.square)


def test_rerandomised_ciphertexts_have_nothing_but_the_plaintext_in_common(key: PrivateKey) -> None:
    (ciphertext,) = key.encrypt([77])
    again = [key.public.rerandomise(ciphertext) for _ in range(30)]

    assert {key.decrypt(one) for one in again} == {77}
    assert len({ciphertext, *again}) == 31
    # The Jacobi symbol survives multiplication by squares, so it would tell which rows were multiplied.
    assert {gmpy2.jacobi(one, key.public.n) for one in again} == {1, -1}
    assert key.decrypt(key.public.rerandomise(ciphertext, -78)) == key.public.n - 1


def test_primes_are_as_keys_need_them(key: PrivateKey) -> None:
    assert key.public.n.bit_length() == 2048
    for prime in (key.p, key.q):
        assert gmpy2.is_prime(prime)
        assert prime % 4 == 3
        assert gmpy2.gcd(prime >> 1, gmpy2.primorial(1000)) == 1


@pytest.mark.parametrize("bits", [0, 512, 1024, 2047, 2049, 2100, 10**6])
def test_keys_of_other_lengths_are_refused(bits: int) -> None:
    with pytest.raises(ConfigError, match="2048"):
        new_owner("paillier", 10, GRADIENTS, key_bits=bits)


@pytest.mark.slow
def test_longer_keys_are_offered() -> None:
    key = new_key(3072)
    assert key.public.n.bit_length() == 3072
    assert [int(key.decrypt(one)) for one in key.encrypt([5, 6])] == [5, 6]


@pytest.mark.parametrize("n", [3**200, 2**2047, (1 << 2047) + 2])
def test_responders_refuse_moduli_that_are_too_short_or_no_modulus(n: int) -> None:
    modulus = to_array([mpz(n)], 256)[0]
    with pytest.raises(ProtocolError, match="refused"):
        new_responder("paillier", 10, GRADIENTS, {"n": modulus})


def test_a_prime_or_a_power_is_no_modulus() -> None:
    for n in (gmpy2.next_prime(mpz(1) << 2047), gmpy2.next_prime(mpz(3) << 1022) ** 2):
        with pytest.raises(ConfigError):
            PublicKey(n)


def test_a_responder_takes_the_modulus_of_a_fresh_key(key: PrivateKey) -> None:
    n = to_array([key.public.n], key.public.plain_bytes)[0]
    PaillierResponder(Packing(10, GRADIENTS), {"n": n})
