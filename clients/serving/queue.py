"""The queue of applicants, a file of SQLite in the bank's state: what was acknowledged survives whatever is killed.

The service adds applicants with the answers of the reserve model; scoring runs, in other processes, take those that
wait and add the answers of the federated model. Every change is one transaction that is on the disk when it returns. An
applicant is known by the model that is to score it, its id and its observation month, so that it is queued and answered
once, however often it is posted.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from clients.store import make_private

MOST = 10_000
"""Applicants of a batch, oldest first; the others wait for the next one."""
_PATIENCE_SECONDS = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS applicants (
    number INTEGER PRIMARY KEY,
    model TEXT NOT NULL,
    id TEXT NOT NULL,
    month TEXT NOT NULL,
    columns TEXT NOT NULL,
    posted REAL NOT NULL,
    cash_flow REAL,
    reserve TEXT NOT NULL,
    batch TEXT,
    federated TEXT,
    answered REAL,
    UNIQUE (model, id, month)
);
CREATE INDEX IF NOT EXISTS waiting ON applicants (model, id) WHERE federated IS NULL;
CREATE TABLE IF NOT EXISTS batches (study TEXT PRIMARY KEY, taken REAL NOT NULL, reason TEXT NOT NULL DEFAULT '');
"""
_WAITING = "FROM applicants WHERE federated IS NULL AND model = ?"


class Applicant(NamedTuple):
    """An applicant: month is its observation month, such as 2023-03, empty where the bank's records have none.

    columns are its declared columns as JSON, if they came with it; empty: the bank's records have them.
    """

    id: str
    month: str
    columns: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Id and month, by which a model knows it."""
        return self.id, self.month


@dataclass(frozen=True)
class Entry:
    """An applicant in the queue. Times are seconds since 1970, answers are JSON (`clients/serving/answers.py`).

    cash_flow is what the lender's decision needs beside the PD, CNY a month. federated and answered are there once the
    federated model has answered. taken is when a run last took it, if one did, and reason why that run did not score.
    """

    applicant: Applicant
    posted: float
    cash_flow: float | None
    reserve: str
    federated: str | None = None
    answered: float | None = None
    taken: float | None = None
    reason: str = ""


class Queue:
    """The applicants of one bank; several threads and processes may use it at the same time."""

    def __init__(self, path: Path) -> None:
        make_private(path.parent)
        os.close(os.open(path, os.O_CREAT, 0o600))  # SQLite gives the files beside it the same mode
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            for statement in filter(str.strip, _TABLES.split(";")):
                self._connection.execute(statement)

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def add(self, model: str, entries: Iterable[Entry]) -> None:
        """Queue applicants for a model; one that is there already stays as it is."""
        rows = [(model, *entry.applicant, entry.posted, entry.cash_flow, entry.reserve) for entry in entries]
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO applicants (model, id, month, columns, posted, cash_flow, reserve) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            )

    def entry(self, model: str, id_: str, month: str | None = None) -> Entry | None:
        """An applicant of that month, by default of the one that was posted last; None if there is none."""
        at = "" if month is None else "AND month = ?"
        with self._lock:
            row = self._connection.execute(
                "SELECT id, month, columns, posted, cash_flow, reserve, federated, answered, taken, reason "
                "FROM applicants LEFT JOIN batches ON study = batch "
                f"WHERE model = ? AND id = ? {at} ORDER BY number DESC LIMIT 1",
                (model, id_) if month is None else (model, id_, month),
            ).fetchone()
        if row is None:
            return None
        *applicant, posted, cash_flow, reserve, federated, answered, taken, reason = row
        times = {"posted": posted, "answered": answered, "taken": taken}
        return Entry(
            Applicant(*applicant),
            cash_flow=cash_flow,
            reserve=reserve,
            federated=federated,
            reason=reason or "",
            **times,
        )

    def waiting(self, model: str) -> int:
        """How many applicants wait for a model."""
        return self._count(f"SELECT COUNT(*) {_WAITING}", model)

    def answered(self, model: str) -> int:
        """How many the federated model has answered."""
        return self._count("SELECT COUNT(*) FROM applicants WHERE federated IS NOT NULL AND model = ?", model)

    def batch_size(self, model: str) -> int:
        """How many applicants `take` would give now."""
        return min(MOST, self._count(f"SELECT COUNT(DISTINCT id) {_WAITING}", model))

    def take(self, model: str, study: str, most: int = MOST) -> list[Applicant]:
        """The batch of a scoring run, which is the same however often the run asks for it.

        A business that waits with several months is in it once. Who was in a batch that has not been answered may be
        taken again: a run that broke off does not come back.
        """
        with self._transaction() as connection:
            if not connection.execute("SELECT 1 FROM batches WHERE study = ?", (study,)).fetchone():
                connection.execute("INSERT INTO batches (study, taken) VALUES (?, ?)", (study, time.time()))
                connection.execute(
                    f"UPDATE applicants SET batch = ? WHERE number IN "
                    f"(SELECT MIN(number) {_WAITING} GROUP BY id ORDER BY 1 LIMIT ?)",
                    (study, model, most),
                )
                connection.execute(
                    "DELETE FROM batches WHERE study <> ? AND study NOT IN "
                    "(SELECT batch FROM applicants WHERE federated IS NULL AND batch IS NOT NULL)",
                    (study,),
                )
            rows = connection.execute(
                "SELECT id, month, columns FROM applicants WHERE batch = ? AND federated IS NULL ORDER BY number",
                (study,),
            )
            return [Applicant(*row) for row in rows]

    def answer(self, model: str, study: str, answers: Mapping[str, str]) -> None:
        """Keep the answers to a batch by id; who has been answered, or is in another batch by now, stays as it is."""
        now = time.time()
        rows = [(answer, now, model, id_, study) for id_, answer in answers.items()]
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE applicants SET federated = ?, answered = ? "
                "WHERE federated IS NULL AND model = ? AND id = ? AND batch = ?",
                rows,
            )

    def postpone(self, study: str, reason: str) -> None:
        """Keep the reason why a batch was not scored."""
        with self._transaction() as connection:
            connection.execute("UPDATE batches SET reason = ? WHERE study = ?", (reason, study))

    def _count(self, query: str, *values: Any) -> int:
        with self._lock:
            return int(self._connection.execute(query, values).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is done meanwhile, on the disk afterwards, or nothing."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
