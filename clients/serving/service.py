"""What the service does with applicants: the reserve model answers at once, and they are queued for the federated one.

Requests that come at the same time are answered together, since the model takes hardly longer for many rows than for
one, and the disk for one transaction as long as for another.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from clients.serving.queue import Applicant, Entry, Queue
from clients.serving.scorer import Scorer
from fl.tables import Table

MOST_WAITING = 100_000
"""Applicants in the queue; further ones are refused until a run has scored some."""


class Decision(NamedTuple):
    """What the lender's policy offers: a line in CNY, 0 where not approved, at a price per year."""

    approved: bool
    line: float
    price: float


class Lender(Protocol):
    """The lender's policy."""

    def cash_flow(self, table: Table) -> NDArray[np.float64]:
        """The mean monthly cash flow (n,) of the rows of the bank's table, CNY, NaN where unknown."""
        ...

    def decide(
        self, pds: NDArray[np.float64], cash_flow: NDArray[np.float64], is_federated: bool
    ) -> Sequence[Decision]:
        """Decide by PDs (n,), all of the federated or all of the reserve model."""
        ...


class Conflict(Exception):
    """An applicant was posted before with other columns."""


class Full(Exception):
    """The queue takes nobody."""


@dataclass
class _Ticket:
    """Applicants of one request, and what became of them."""

    applicants: Sequence[Applicant]
    entries: list[Entry] = field(default_factory=list)
    error: Exception | None = None
    is_done: bool = False


class Service:
    """Answers and queues applicants; any number of threads may call it."""

    def __init__(self, scorer: Scorer, queue: Queue, lender: Lender) -> None:
        self.scorer, self.queue, self.lender = scorer, queue, lender
        self._tickets: list[_Ticket] = []
        self._taking, self._working = threading.Lock(), threading.Lock()

    def post(self, applicants: Sequence[Applicant]) -> list[Entry]:
        """Queue applicants, and give each its place in the queue, in which the reserve model's answer stands.

        One that is there already stays as it is. Raises Conflict for one that came before with other columns, Full, and
        DataError for data that are not in order; then nobody of these is queued.
        """
        ticket = _Ticket(applicants)
        with self._taking:
            self._tickets.append(ticket)
        with self._working:
            # Whoever worked meanwhile may have done it.
            if not ticket.is_done:
                with self._taking:
                    tickets, self._tickets = self._tickets, []
                self._answer(tickets)
        if ticket.error:
            raise ticket.error
        return ticket.entries

    def find(self, id_: str, month: str | None) -> Entry | None:
        """An applicant of that month, by default of the one that was posted last; None if there is none."""
        return self.queue.entry(self.scorer.model, id_, month)

    def _answer(self, tickets: Sequence[_Ticket]) -> None:
        try:
            self._answer_together(tickets)
        except Exception as error:
            if len(tickets) == 1:
                tickets[0].error = error
            else:
                # One of them is to blame, and the others should not suffer for it.
                for ticket in tickets:
                    self._answer([ticket])
        finally:
            for ticket in tickets:
                ticket.is_done = True

    def _answer_together(self, tickets: Sequence[_Ticket]) -> None:
        model = self.scorer.model
        entries = {
            key: entry
            for key in {one.key: None for ticket in tickets for one in ticket.applicants}
            if (entry := self.queue.entry(model, *key))
        }
        room, new = MOST_WAITING - self.queue.waiting(model), dict[tuple[str, str], Applicant]()
        for ticket in tickets:
            there = {key: entry.applicant for key, entry in entries.items()} | new
            brought = {one.key: one for one in reversed(ticket.applicants) if one.key not in there}
            if other := [one for one in ticket.applicants if one != (there | brought)[one.key]]:
                ticket.error = Conflict(
                    f"{other[0].id} was posted before, with other columns; the first answer stands."
                )
            elif len(new) + len(brought) > room:
                ticket.error = Full(
                    f"{MOST_WAITING:,} applicants wait already; post these after the next batch."
                )
            else:
                new |= brought
        if new:
            added = self._answered(list(new.values()))
            self.queue.add(model, added)
            entries |= {entry.applicant.key: entry for entry in added}
        for ticket in tickets:
            if not ticket.error:
                ticket.entries = [entries[one.key] for one in ticket.applicants]

    def _answered(self, applicants: Sequence[Applicant]) -> list[Entry]:
        now, entries = time.time(), dict[int, Entry]()
        for places, answers, table in self.scorer.answers(applicants):
            flows = self.lender.cash_flow(table).tolist()
            for place, answer, flow in zip(places.tolist(), answers, flows, strict=True):
                entries[place] = Entry(applicants[place], now, flow if isfinite(flow) else None, answer)
        return [entries[place] for place in range(len(applicants))]
