"""Finding 4 of the security review: the public key of a bank that lies in it."""

import numpy as np
import pytest
from tenseal import sealapi

from fl.encrypted_sums import new_owner, new_responder
from fl.encrypted_sums.lattice import form, public_key
from fl.encrypted_sums.lattice.seal import DEGREE, Lattice
from fl.errors import ProtocolError

ROWS, RANGES = 10, ((0, 1),)


@pytest.fixture(scope="module")
def lattice() -> Lattice:
    return Lattice(20)


def polynomial(lattice: Lattice, coefficients: dict[int, int]) -> np.ndarray:
    """A polynomial of few coefficients in NTT form."""
    values = np.zeros((2, DEGREE), np.uint64)
    for place, value in coefficients.items():
        values[:, place] = value
    made = lattice.ciphertext(values, np.ones_like(values))
    lattice.evaluator.transform_to_ntt_inplace(made)
    return lattice.words(made, 4 * DEGREE).reshape(2, 2, DEGREE)[0]


def test_keys_encrypt_as_those_of_the_library_do(lattice: Lattice) -> None:
    secret_key, key = public_key.new_keys(lattice)
    pair, decryptor = public_key.load(lattice, key), sealapi.Decryptor(lattice.context, secret_key)
    lattice.evaluator.transform_from_ntt_inplace(pair)
    opened, theirs = sealapi.Plaintext(), sealapi.Ciphertext()

    # A key is an encryption of zero, with the noise that the library gives one.
    sealapi.Encryptor(lattice.context, secret_key).encrypt_zero_symmetric(theirs)
    assert abs(decryptor.invariant_noise_budget(pair) - decryptor.invariant_noise_budget(theirs)) <= 1
    lattice.evaluator.add_plain_inplace(
        pair, lattice.plaintext(np.arange(3), np.array([7, 0, 2**20 - 1], np.uint64))
    )
    decryptor.decrypt(pair, opened)
    assert lattice.coefficients(opened, 4).tolist() == [7, 0, 2**20 - 1, 0]
    assert sum(array.nbytes for array in key.values()) < DEGREE * 2 * 8


def test_the_uniform_half_is_the_hash_of_the_seed_and_nothing_else() -> None:
    # Known answers: a reimplementation by FIPS 202, and the same seed gives the same half at both ends.
    primes = Lattice(20).primes
    one = public_key._expanded(bytes(32), primes)
    assert one.shape == (2, DEGREE)
    assert (one < np.array(primes, np.uint64)[:, None]).all()
    np.testing.assert_array_equal(one, public_key._expanded(bytes(32), primes))
    assert (one != public_key._expanded(bytes(31) + b"\x01", primes)).mean() > 0.99
    # As uniform as can be seen: the mean of a part is half its prime, within 5 deviations.
    for part, prime in zip(one.astype(float), primes, strict=True):
        assert abs(part.mean() / prime - 0.5) < 5 * (1 / 12 / DEGREE) ** 0.5


@pytest.mark.parametrize(
    "coefficients",
    [
        {},
        {0: 1},
        {0: 2**40},
        {5: 1},
        dict.fromkeys(range(0, DEGREE, 320), 2**45),
        dict.fromkeys(range(DEGREE), 1),
    ],
    ids=["zeros", "one", "constant", "power", "sparse", "ones"],
)
def test_finding_4_a_degenerate_key_is_refused(
    lattice: Lattice, coefficients: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, key = public_key.new_keys(lattice)
    key |= {"b": form.to_bytes(polynomial(lattice, coefficients).ravel())}
    with pytest.raises(ProtocolError, match="degenerate"):
        public_key.load(lattice, key)

    monkeypatch.setattr(public_key, "_looks_uniform", lambda numbers, prime: True)
    public_key.load(lattice, key)


def test_finding_4_the_owner_has_no_say_in_the_uniform_half(lattice: Lattice) -> None:
    owner = new_owner("lattice", ROWS, RANGES)
    theirs = sealapi.PublicKey()
    sealapi.KeyGenerator(lattice.context).create_public_key(theirs)
    whole = np.frombuffer(lattice.save(theirs), np.uint8)
    for key in ({"public_key": whole}, {**owner.public_key(), "seed": whole}, {"b": owner.public_key()["b"]}):
        with pytest.raises(ProtocolError, match="lack 'seed'"):
            new_responder("lattice", ROWS, RANGES, key)


def test_numbers_beyond_the_primes_are_refused(lattice: Lattice) -> None:
    _, key = public_key.new_keys(lattice)
    words = form.from_bytes(key["b"], 2 * DEGREE)
    words[-1] = lattice.primes[-1]
    with pytest.raises(ProtocolError, match="Ciphertext does not fit"):
        public_key.load(lattice, key | {"b": form.to_bytes(words)})
