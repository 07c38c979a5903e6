"""Finding 9: whatever arrives at a party, it refuses in a sentence or answers, and takes little memory for it."""

import os
import random
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl.protocols import CONVERSATIONS
from fl.wire import refusal_in, size_of
from tests.fuzzing import Fuzzer, Moment, complaint, record, record_banks

NAMES = [conversation.name for conversation in CONVERSATIONS]
MEMORY = 64_000_000
MANY = int(os.environ.get("FUZZ", "300"))
"""Messages of each conversation; 3,000 take eight minutes on two cores."""
MEASURED = 0.2
"""The share of messages whose memory is traced, which takes longer than the answer itself."""
HEALTH = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
seeds = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def moments(tables: Path, banks_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Moment]:
    banks = record_banks(banks_tables, tmp_path_factory.mktemp("banks"))
    return record(tables, tmp_path_factory.mktemp("fuzz"), "lattice") + banks


@contextmanager
def traced(is_measured: bool) -> Iterator[list[int]]:
    """The peak of the memory that Python allocates within, in bytes; nothing if it is not measured."""
    peak: list[int] = []
    if not is_measured:
        yield peak
        return
    tracemalloc.start()
    try:
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def fuzz(moments: list[Moment], name: str, examples: int) -> None:
    """Send that many corrupted messages of a conversation."""
    fuzzer, chosen = Fuzzer(), [moment for moment in moments if moment.conversation == name]

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=HEALTH
    )
    @given(seed=seeds)
    def send_one(seed: int) -> None:
        choose = random.Random(seed)
        moment, altered = choose.choice(chosen), False
        if choose.random() < 0.75:
            message = fuzzer.from_inside(moment, choose)
        else:
            try:
                message, altered = fuzzer.from_outside(moment, choose)
            except ValueError:
                return
        with traced(choose.random() < MEASURED) as peak:
            reply = fuzzer.deliver(moment, message)
        assert complaint(moment, reply) is None, moment
        assert not altered or refusal_in(reply) is not None
        assert max(peak, default=0) < size_of(message) + MEMORY

    send_one()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_finding_9_many_corrupted_messages(moments: list[Moment], name: str) -> None:
    fuzz(moments, name, MANY)
