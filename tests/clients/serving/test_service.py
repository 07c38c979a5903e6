"""What the service does with requests that come at the same time."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from clients.data.errors import DataError
from clients.serving import service as module
from clients.serving.queue import Applicant, Queue
from clients.serving.service import Decision, Full, Service


class Scorer:
    """Says the id of everybody, after the first call once it is told to; fails at an applicant called `bad`."""

    model = "s/federated-boosting/1"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.begun, self.may_end = threading.Event(), threading.Event()

    def answers(
        self, applicants: Sequence[Applicant]
    ) -> Iterator[tuple[NDArray[np.int_], list[str], list[str]]]:
        self.calls.append([one.id for one in applicants])
        self.begun.set()
        assert self.may_end.wait(10)
        if any(one.id == "bad" for one in applicants):
            raise DataError("bank: the value of 'bad' is infinite.")
        yield np.arange(len(applicants)), [one.id for one in applicants], [one.id for one in applicants]


class Lender:
    def cash_flow(self, table: Any) -> NDArray[np.float64]:
        return np.array([np.nan if id_ == "poor" else 5.0 for id_ in table])

    def decide(self, pds: Any, cash_flow: Any, is_federated: bool) -> list[Decision]:
        return []


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    queue = Queue(tmp_path / "queue.db")
    yield Service(Scorer(), queue, Lender())  # type: ignore[arg-type]
    queue.close()


def test_those_who_come_while_the_model_works_are_answered_together_and_fail_alone(service: Service) -> None:
    scorer: Any = service.scorer
    found: dict[str, object] = {}

    def post(id_: str) -> None:
        try:
            found[id_] = [entry.reserve for entry in service.post([Applicant(id_, "2023-01")])]
        except DataError as error:
            found[id_] = error

    threads = [threading.Thread(target=post, args=(id_,)) for id_ in ("first", "a", "bad", "b")]
    threads[0].start()
    assert scorer.begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(service._tickets) < 3:
        pass
    scorer.may_end.set()
    for thread in threads:
        thread.join()

    assert scorer.calls[0] == ["first"]
    assert sorted(scorer.calls[1]) == ["a", "b", "bad"]
    assert isinstance(found.pop("bad"), DataError)
    assert found == {"first": ["first"], "a": ["a"], "b": ["b"]}
    assert service.queue.waiting(service.scorer.model) == 3


def test_a_full_queue_takes_nobody_and_still_knows_who_is_in_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer: Any = service.scorer
    scorer.may_end.set()
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    old = [Applicant("a", ""), Applicant("poor", "")]
    entries = service.post(old)
    with pytest.raises(Full, match="2 applicants wait already"):
        service.post([Applicant("b", "")])
    assert service.post(old) == entries
    assert [entry.cash_flow for entry in entries] == [5.0, None]
