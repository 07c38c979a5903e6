"""Typed questions to parties, answered or explained.

A round trip is one message out to some parties and their replies back (`server/delivery.py`); it is the unit of cost,
so every one is counted here with the bytes it moved and the CPU time the parties spent. Each is written into the run's
journal, if it has one, and taken from there when the run is resumed (`server/journal.py`).
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, NamedTuple

from flwr.app import Error, RecordDict

from fl.errors import ProtocolError
from fl.escaping import text_line
from fl.handshake import DescribeRequest, Description
from fl.messages import Reply, Request, declaration_of
from fl.protocols import message_type
from fl.studies import sub_study
from fl.wire import (
    Envelope,
    digest_of,
    envelope_of,
    from_bytes,
    pack,
    refusal_in,
    refused_by,
    size_of,
    to_bytes,
    unpack,
)
from server.admission import read_admission
from server.costs import COORDINATOR, Costs
from server.delivery import Delivery, Messenger, poll
from server.journal import Answer, Journal, RoundTrip, journal_name
from server.roster import Roster

_NAME = 100

_MET = "parties"
"""File of the journal with their descriptions: no contender is called so."""


class FederationError(RuntimeError):
    """A party refused, failed or kept silent; the text names the party and what it was asked."""


class UnansweredError(FederationError):
    """A party kept silent, or could not be reached, for as long as the run waits for one."""


@dataclass(frozen=True)
class _Met:
    """The parties as they described themselves, by name."""

    descriptions: Mapping[str, Description]


class Connection:
    """The way to the parties that are connected, the journal of what they were asked, and what it all has cost."""

    def __init__(self, grid: Messenger, study: str, timeout: float, journal: Journal | None = None) -> None:
        self._grid, self._study, self._timeout = grid, study, timeout
        self._delivery, self._journal = Delivery(grid, timeout), journal or Journal("", study, 0)
        self._counted = Costs()
        self._nodes: dict[str, int] = {}
        self._steps: defaultdict[tuple[str, str, str], Iterator[int]] = defaultdict(lambda: count(1))
        self._began, self._in_grid = time.thread_time(), 0.0
        self._seconds, self._last = 0.0, time.monotonic()

    @property
    def costs(self) -> Costs:
        """All costs so far. The inline engine answers within the grid, so its time must not count as our own too."""
        own = time.thread_time() - self._began - self._in_grid
        return replace(self._counted, cpu_by_action={**self._counted.cpu_by_action, COORDINATOR: own})

    @property
    def seconds(self) -> float:
        """Wall time so far, without that between the death of one coordinator and the start of the next."""
        return self._seconds + time.monotonic() - self._last

    def connect(
        self, parties: Sequence[str], timeout: float, least: int | None = None
    ) -> dict[str, Description]:
        """Wait until so many parties are there, and ask each who it is: descriptions, sorted by name.

        Where the coordinator has a file of their keys, it waits for the parties of these names, and asks nobody else.
        When a run is resumed, those that took part from its beginning take part again, and are waited for when the
        first of them is asked. Raises FederationError when fewer come in time, or fewer than `least` if that is given,
        or two have the same name; ProtocolError when one has not the keys that the coordinator's file has of it, and
        ConfigError when that cannot be read (`server/admission.py`).
        """
        self._meeting = parties, timeout, least
        met = self._journal.next(_MET, _Met)
        if met is None:
            met = _Met(self._meet())
            self._journal.add(_MET, met)
        return dict(met.descriptions)

    def _meet(self) -> dict[str, Description]:
        parties, timeout, least = self._meeting
        admission = read_admission()
        by_key = None if admission is None else admission.supernodes(parties)
        nodes = self._wait_for_nodes(parties, timeout, len(parties) if least is None else least, by_key)
        questions = {f"node {node}": DescribeRequest() for node in nodes}
        self._nodes, names = dict(zip(questions, nodes, strict=True)), dict[str, int]()
        # A node that has just gone may still be listed.
        dispensable = () if least is None else questions
        asked = _questions(questions, self._study)
        answers = self._ask(asked, Envelope(self._study), dispensable, Journal("", "", 0))
        for node, about in answers.items():
            if not about.name or about.name != text_line(about.name)[:_NAME]:
                raise FederationError(
                    f"A party calls itself {about.name[:_NAME]!r}; a name is one short line of text."
                )
            number = self._nodes[node]
            if admission is not None:
                admission.require(nodes[number], about)
            if about.name in names:
                raise FederationError(f"Two parties call themselves {about.name!r}; names must differ.")
            names[about.name] = number
        self._nodes = names
        # Node ids are random; the order of the parties decides the order of sums, and must not.
        return {about.name: about for about in sorted(answers.values(), key=lambda about: about.name)}

    def ask(
        self, requests: Mapping[str, Request[Reply]], envelope: Envelope, dispensable: Collection[str]
    ) -> dict[str, Reply]:
        """One round trip about the state that the envelope names; see `Exchange.ask`."""
        return self._ask(_questions(requests, envelope.study), envelope, dispensable, self._journal)

    def ask_in_all(
        self, requests: Mapping[str, Mapping[str, Request[Reply]]], model: str
    ) -> dict[str, dict[str, Reply]]:
        """One round trip in the sub-studies of several banks; see `Exchange.ask_in_all`."""
        questions, labels = dict[str, _Question](), dict[str, dict[str, str]]()
        for bank, of_bank in requests.items():
            study = sub_study(self._study, bank)
            labels[bank] = {party: f"{party} in {study}" for party in of_bank}
            questions |= {
                labels[bank][party]: question for party, question in _questions(of_bank, study).items()
            }
        if not questions:
            return {bank: {} for bank in requests}
        replies: dict[str, Reply] = self._ask(questions, Envelope(self._study, model), (), self._journal)
        return {
            bank: {party: replies[label] for party, label in parties.items()}
            for bank, parties in labels.items()
        }

    def _ask(
        self,
        questions: Mapping[str, "_Question"],
        envelope: Envelope,
        dispensable: Collection[str],
        journal: Journal,
    ) -> dict[str, Any]:
        """One round trip about the model that the envelope names, journalled under its study."""
        (kind,) = {type(question.request) for question in questions.values()}
        declaration, to = declaration_of(kind), message_type(kind)
        packed = {}
        for label, (party, study, request) in questions.items():
            step = 0 if declaration.is_query else next(self._steps[party, study, envelope.model])
            packed[label] = pack(request, replace(envelope, study=study, step=step))
        parties = {label: question.party for label, question in questions.items()}
        asked = {party: digest_of(record) for party, record in packed.items()} if journal.is_kept else {}
        place = self._place(envelope)
        earlier = journal.next(place, RoundTrip)
        records = (
            self._send(to, packed, parties, dispensable) if earlier is None else _recalled(earlier, asked, to)
        )
        action = to.partition(".")[2]
        replies = {
            party: self._opened(party, to, declaration.replies, records[party])
            for party in packed
            if party in records
        }
        seconds = self.seconds - self._seconds if earlier is None else earlier.seconds
        self._seconds, self._last = self._seconds + seconds, time.monotonic()
        if earlier is None and journal.is_kept:
            # Before anybody hears of it: no party may be further than the journal, but by one answer.
            answers = {
                party: Answer(digest, to_bytes(records[party]) if party in records else b"")
                for party, digest in asked.items()
            }
            journal.add(place, RoundTrip(answers, seconds))
        counted, spent = self._counted, sum(cpu_seconds for _, cpu_seconds in replies.values())
        self._counted = Costs(
            counted.round_trips + 1,
            counted.bytes_up + sum(size_of(record) for record in records.values()),
            counted.bytes_down + sum(size_of(record) for record in packed.values()),
            {**counted.cpu_by_action, action: counted.cpu_by_action.get(action, 0.0) + spent},
        )
        return {party: answer for party, (answer, _) in replies.items()}

    def _place(self, envelope: Envelope) -> str:
        """The file of the journal for a state at the parties; see `journal_name`."""
        bank = envelope.study.removeprefix(sub_study(self._study, ""))
        return journal_name("" if envelope.study == self._study else bank, envelope.model)

    def _send(
        self,
        action: str,
        packed: Mapping[str, RecordDict],
        parties: Mapping[str, str],
        dispensable: Collection[str],
    ) -> dict[str, RecordDict]:
        if not self._nodes:
            # The first request of a resumed run that its journal has no answer to.
            counted = self._counted
            self._meet()
            self._counted = counted
        before = time.thread_time()
        there = {
            label: (self._nodes[parties[label]], record)
            for label, record in packed.items()
            if parties[label] in self._nodes
        }
        replies, silent = self._delivery.carry(action, there)
        self._in_grid += time.thread_time() - before
        records, failed = {}, {}
        for party, message in replies.items():
            if not message.has_content():
                failed[party] = f"failed at {action}: {_reason(message.error)}{self._way_on}"
                continue
            refused = refusal_in(message.content)
            if refused is not None:
                name = refused_by(message.content)
                called = f", which calls itself {name!r}," if name not in ("", party) else ""
                why = refused.rstrip(".")
                raise FederationError(f"Party {party}{called} refused {action}: {why}{self._way_on}.")
            records[party] = message.content
        _raise_unless(dispensable, failed, FederationError)
        silent |= dict.fromkeys(packed.keys() - there.keys(), "is not connected")
        unanswered = {
            party: f"did not answer {action} within {self._timeout:g} seconds{why and f': it {why}'}{self._way_on}"
            for party, why in silent.items()
        }
        _raise_unless(dispensable, unanswered, UnansweredError)
        return records

    def _opened(
        self, party: str, action: str, kinds: tuple[type[Any], ...], record: RecordDict
    ) -> tuple[Any, float]:
        """A reply, and the CPU seconds that it cost the party."""
        try:
            return unpack(record, *kinds), envelope_of(record).cpu_seconds
        except ProtocolError as error:
            why = f"The reply of party {party} to {action} is malformed: {text_line(str(error))}"
            raise FederationError(f"{why}{self._way_on}") from None

    @property
    def _way_on(self) -> str:
        """What to do after a failure, to follow its reason without a stop."""
        return f". `siloscore resume {self._study}` goes on from here" if self._journal.is_kept else ""

    def _wait_for_nodes(
        self, parties: Sequence[str], timeout: float, least: int, by_key: Mapping[bytes, str] | None
    ) -> dict[int, bytes]:
        """The public key of each node that is there, in PEM, by its id; empty where Flower asks for no key.

        by_key has the parties by the keys that count, if not all do.
        """
        nodes: dict[int, bytes] = {}

        def look() -> bool:
            nodes.clear()
            nodes.update(
                (node.node_id, node.public_key)
                for node in self._grid.get_nodes()
                if by_key is None or node.public_key in by_key
            )
            return len(nodes) >= len(parties)

        if not poll(look, timeout) and len(nodes) < least:
            if by_key is None:
                why = f"in simulation, start the run with --federation-config num-supernodes={len(parties)}"
            else:
                absent = [name for key, name in by_key.items() if key not in nodes.values()]
                why = f"not so {', '.join(absent)}, by the key in the coordinator's file of parties"
            raise FederationError(
                f"{len(nodes)} of {len(parties)} parties connected within {timeout:g} seconds; {why}."
            )
        return dict(sorted(nodes.items()))


class _Question(NamedTuple):
    """What a party is asked, and in which study."""

    party: str
    study: str
    request: Request[Any]


def _questions(requests: Mapping[str, Request[Any]], study: str) -> dict[str, _Question]:
    """Requests by party, in one study."""
    return {party: _Question(party, study, request) for party, request in requests.items()}


class Exchange:
    """Questions to parties by role or by name, in one study.

    roster says which of the connected parties take part, and in which role; there is none before it is set.
    """

    def __init__(self, grid: Messenger, study: str, timeout: float, journal: Journal | None = None) -> None:
        self._connection, self._study = Connection(grid, study, timeout, journal), study
        self.roster = Roster()

    @property
    def sub_studies(self) -> dict[str, str]:
        """The names of the banks' sub-studies, by bank."""
        return {bank: sub_study(self._study, bank) for bank in self.roster.holders}

    def of_bank(self, bank: str) -> "Exchange":
        """The same exchange in the sub-study of a bank, which is the only label holder there."""
        exchange = copy(self)
        exchange._study, exchange.roster = sub_study(self._study, bank), self.roster.of_bank(bank)
        return exchange

    @property
    def costs(self) -> Costs:
        """All costs so far, those of all sub-studies included."""
        return self._connection.costs

    @property
    def seconds(self) -> float:
        """Wall time so far, without that between the death of one coordinator and the start of the next."""
        return self._connection.seconds

    def connect(
        self, parties: Sequence[str], timeout: float, least: int | None = None
    ) -> dict[str, Description]:
        """Wait for the parties, and ask each who it is; see `Connection.connect`."""
        return self._connection.connect(parties, timeout, least)

    def ask(
        self, requests: Mapping[str, Request[Reply]], model: str = "", dispensable: Collection[str] = ()
    ) -> dict[str, Reply]:
        """One round trip, if anybody is asked: send each party its request, return each party's reply.

        model names the state at the parties that the requests touch, by default the study's own. A dispensable party
        that keeps silent or fails has no reply; all else raises FederationError naming the party, its refusal too.
        """
        if not requests:
            return {}
        return self._connection.ask(requests, Envelope(self._study, model), dispensable)

    def ask_each(
        self, request: Request[Reply], model: str = "", dispensable: Collection[str] = ()
    ) -> dict[str, Reply]:
        """The same request to every party of the role that it is declared for."""
        role = declaration_of(type(request)).to
        return self.ask(dict.fromkeys(self.roster.of(role), request), model, dispensable)

    def ask_in_all(
        self, requests: Mapping[str, Mapping[str, Request[Reply]]], model: str
    ) -> dict[str, dict[str, Reply]]:
        """One round trip in the sub-studies of several banks, if anybody is asked there; requests by bank and party.

        A party may be asked in several of them. The replies are by bank and party, too; see `ask`.
        """
        return self._connection.ask_in_all(requests, model)

    def ask_holder(self, request: Request[Reply], model: str = "") -> Reply:
        """One round trip with the only label holder of a study."""
        return self.ask({self.roster.holder: request}, model)[self.roster.holder]


def _raise_unless(
    dispensable: Collection[str], lost: Mapping[str, str], error: type[FederationError]
) -> None:
    """Raises the error for who is lost, and why, unless one can do without them."""
    for why in lost.values():
        parties = [party for party, of_party in lost.items() if of_party == why and party not in dispensable]
        if parties:
            raise error(f"Party {', '.join(parties)} {why.rstrip('.')}.")


def _recalled(earlier: RoundTrip, asked: Mapping[str, bytes], action: str) -> dict[str, RecordDict]:
    """The replies of a round trip in the journal. Raises FederationError when it asked something else."""
    if {party: answer.request for party, answer in earlier.answers.items()} != asked:
        raise FederationError(
            f"The run cannot be resumed: its journal has another request instead of {action}. Resume it with the "
            "version of SiloScore, and on the data, that it began with."
        )
    return {party: from_bytes(answer.reply) for party, answer in earlier.answers.items() if answer.reply}


def _reason(error: Error) -> str:
    """The last line of Flower's report, without its wrapping."""
    lines = [line.strip() for line in (error.reason or "no reason given").splitlines() if line.strip()]
    return text_line(lines[-1].split("Message: ", 1)[-1].rstrip(".'>"))
