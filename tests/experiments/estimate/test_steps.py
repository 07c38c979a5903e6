import numpy as np
import pytest

from experiments.estimate.steps import steps_of
from fl.encrypted_sums import new_owner, new_responder
from fl.encrypted_sums.packing import Packing
from fl.workload import EncryptedSums


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("engine", ["lattice", "paillier", "plain"])
def test_steps_are_as_many_and_as_long_as_those_that_an_engine_takes(engine: str, groups: int) -> None:
    rows = 300
    if engine == "paillier":
        pytest.importorskip("gmpy2")
        rows = 10
    rng, bins = np.random.default_rng(0), np.array([15, 15, 9, 2] * 5)
    sums = EncryptedSums(rows=rows, groups=groups, bins={"tax": bins})
    packing = Packing(rows, ((-1024, 1024), (0, 256)))

    steps = steps_of(engine, packing, sums)

    owner = new_owner(engine, rows, packing.ranges)
    responder = new_responder(engine, rows, packing.ranges, owner.public_key())
    encrypted, _ = owner.encrypt(rng.integers(0, 256, (rows, 2)), sums.offsets, [bins])
    places = rng.integers(0, bins + 1, (rows, len(bins))).astype(np.uint8)
    reply = responder.sums(encrypted, sums.offsets, places, bins)
    sent = encrypted["lengths"] if engine == "lattice" else encrypted["rows"]
    assert steps.encryptions == len(sent)
    numbers = encrypted["blocks"] if engine == "lattice" else encrypted["rows"]
    assert steps.encrypted_bytes == pytest.approx(numbers.nbytes, rel=0.003)
    assert steps.reply_bytes == reply["replies"].nbytes


def test_rows_that_are_encrypted_one_by_one_are_sent_once() -> None:
    packing = Packing(100, ((0, 1),))
    bins = {"tax": np.array([3, 4]), "utility": np.array([5])}

    again = steps_of("plain", packing, EncryptedSums(rows=100, groups=2, bins=bins, again=True))

    assert (again.encryptions, again.encrypted_bytes) == (0, 0)
    assert (again.products, again.replies) == (
        {"tax": 200, "utility": 100},
        {"tax": 14, "utility": 10},
    )
