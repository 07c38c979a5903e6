"""The queue: who is in it, who is taken, and who is answered."""

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.serving.queue import Applicant, Entry, Queue

MODEL = "s/federated-boosting/1"


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    queue = Queue(tmp_path / "state" / "queue.db")
    yield queue
    queue.close()


def entry(id_: str, month: str = "2023-01", columns: str = "", reserve: str = "first") -> Entry:
    return Entry(Applicant(id_, month, columns), posted=1.0, cash_flow=None, reserve=reserve)


def test_an_applicant_is_queued_once_and_keeps_its_first_answer(queue: Queue) -> None:
    queue.add(MODEL, [entry("a"), entry("a", reserve="second"), entry("a", "2023-02"), entry("b")])
    queue.add(MODEL, [entry("b", reserve="second")])
    queue.add("other/model/1", [entry("a", reserve="of another model")])
    assert queue.waiting(MODEL) == 3
    assert queue.entry(MODEL, "a", "2023-01") == entry("a")
    assert queue.entry(MODEL, "a") == entry("a", "2023-02"), "the one that was posted last"
    assert queue.entry(MODEL, "b") == entry("b")
    assert queue.entry(MODEL, "c") is None


def test_a_batch_has_the_oldest_and_each_business_once_and_stays_the_same(queue: Queue) -> None:
    queue.add(MODEL, [entry("a"), entry("a", "2023-02"), entry("b", columns="{}"), entry("c")])
    assert queue.batch_size(MODEL) == 3
    batch = queue.take(MODEL, "first", most=2)
    assert batch == [Applicant("a", "2023-01"), Applicant("b", "2023-01", "{}")]
    queue.add(MODEL, [entry("d")])
    assert queue.take(MODEL, "first") == batch
    assert queue.take("other/model/1", "second") == []


def test_who_is_answered_waits_no_more_and_is_answered_once(queue: Queue) -> None:
    queue.add(MODEL, [entry("a"), entry("a", "2023-02"), entry("b")])
    queue.take(MODEL, "first")
    queue.answer(MODEL, "first", {"a": "yes", "stranger": "yes"})
    queue.answer(MODEL, "first", {"a": "no"})
    answered = queue.entry(MODEL, "a", "2023-01")
    assert answered is not None
    assert answered.federated == "yes"
    assert answered.answered is not None
    assert queue.answered(MODEL) == 1
    assert queue.take(MODEL, "second") == [Applicant("a", "2023-02"), Applicant("b", "2023-01")]


def test_a_batch_that_broke_off_is_taken_again_and_the_late_answer_of_the_first_run_is_none(
    queue: Queue,
) -> None:
    queue.add(MODEL, [entry("a")])
    queue.take(MODEL, "first")
    queue.postpone("first", "Party tax was away.")
    waiting = queue.entry(MODEL, "a")
    assert waiting is not None
    assert (waiting.reason, waiting.federated) == ("Party tax was away.", None)
    assert queue.take(MODEL, "second") == [Applicant("a", "2023-01")]
    queue.answer(MODEL, "first", {"a": "late"})
    again = queue.entry(MODEL, "a")
    assert again is not None
    assert (again.reason, again.federated) == ("", None)


def test_the_file_is_for_its_user_alone_and_is_on_the_disk_before_anybody_is_told(
    queue: Queue, tmp_path: Path
) -> None:
    queue.add(MODEL, [entry("a")])
    files = list((tmp_path / "state").iterdir())
    assert len(files) == 3, "the write-ahead log and its index are beside it"
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    settings = [
        queue._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    ]
    assert settings == ["wal", 2], "2 is FULL"


def test_what_fails_in_the_middle_changes_nothing_and_the_queue_goes_on(queue: Queue) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        queue.add(MODEL, [entry("a"), Entry(Applicant("b", "2023-01"), None, None, "x")])  # type: ignore[arg-type]
    assert queue.waiting(MODEL) == 0
    queue.add(MODEL, [entry("a")])
    assert queue.waiting(MODEL) == 1


def test_two_processes_may_use_it(queue: Queue, tmp_path: Path) -> None:
    other = Queue(tmp_path / "state" / "queue.db")
    queue.add(MODEL, [entry("a")])
    assert other.take(MODEL, "first") == [Applicant("a", "2023-01")]
    other.answer(MODEL, "first", {"a": "yes"})
    other.close()
    assert queue.waiting(MODEL) == 0
