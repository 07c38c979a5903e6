"""The only module that touches Flower's grid: typed questions to parties, answered or explained.

A round trip is one message out to some parties and their replies back; it is the unit of cost, so every one
is counted here with the bytes it moved and the CPU time the parties spent. Flower's own `send_and_receive`
looks for replies every three seconds in deployment; the poll here starts short and grows with the waiting.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from flwr.app import Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from fl.errors import ProtocolError
from fl.escaping import text_line
from fl.handshake import DescribeRequest, Description
from fl.messages import Reply, Request, declaration_of
from fl.protocols import message_type
from fl.wire import Envelope, envelope_of, pack, refusal_in, size_of, unpack
from server.admission import read_admission
from server.roster import Roster

# The message or its reply was lost on the way: the request may be sent again, since a party that has already
# answered repeats its stored reply.
_TRANSIENT = {ErrorCode.MESSAGE_UNAVAILABLE, ErrorCode.REPLY_MESSAGE_UNAVAILABLE, ErrorCode.NODE_UNAVAILABLE}
_ATTEMPTS = 3
_NAME = 100

COORDINATOR = "coordinator"
"""The name of the coordinator's own work beside those of actions."""


class FederationError(RuntimeError):
    """A party refused, failed or kept silent; the text names the party and what it was asked."""


@dataclass(frozen=True)
class Costs:
    """What a conversation took.

    bytes_up are payload to the coordinator, bytes_down from it. cpu_by_action has CPU seconds: by action what the
    parties report for their answers, and under `coordinator` its own outside Flower's grid.
    """

    round_trips: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    cpu_by_action: Mapping[str, float] = field(default_factory=dict)

    @property
    def cpu_seconds(self) -> float:
        """All of them."""
        return sum(self.cpu_by_action.values())

    def since(self, earlier: "Costs") -> "Costs":
        """The costs that came after `earlier`."""
        spent = {
            action: cpu - earlier.cpu_by_action.get(action, 0.0) for action, cpu in self.cpu_by_action.items()
        }
        return Costs(
            self.round_trips - earlier.round_trips,
            self.bytes_up - earlier.bytes_up,
            self.bytes_down - earlier.bytes_down,
            {action: cpu for action, cpu in spent.items() if cpu > 0},
        )

    def to_mapping(self) -> dict[str, float]:
        """As flat figures: `round_trips`, `bytes_up`, `bytes_down`, `cpu_seconds`, and `cpu_seconds.<action>`."""
        return {
            "round_trips": self.round_trips,
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "cpu_seconds": self.cpu_seconds,
            **{f"cpu_seconds.{action}": cpu for action, cpu in self.cpu_by_action.items()},
        }


class Exchange:
    """Questions to parties by role or by name over a Flower grid.

    roster says which of the connected parties take part, and in which role; there is none before it is set.
    """

    def __init__(self, grid: Grid, study: str, timeout: float) -> None:
        self._grid, self._study, self._timeout = grid, study, timeout
        self.roster = Roster()
        self._counted = Costs()
        self._nodes: dict[str, int] = {}
        self._steps: defaultdict[tuple[str, str], Iterator[int]] = defaultdict(lambda: count(1))
        self._began, self._in_grid = time.thread_time(), 0.0

    @property
    def costs(self) -> Costs:
        """All costs so far. The inline engine answers within the grid, so its time must not count as our own too."""
        own = time.thread_time() - self._began - self._in_grid
        return replace(self._counted, cpu_by_action={**self._counted.cpu_by_action, COORDINATOR: own})

    def connect(self, parties: int, timeout: float, least: int | None = None) -> dict[str, Description]:
        """Wait until that many parties are there, and ask each who it is: descriptions, sorted by name.

        Raises FederationError when fewer come in time, or fewer than `least` if that is given, or two have the same
        name; ProtocolError when one has not the keys that the coordinator's file has of it, and ConfigError when that
        cannot be read (`server/admission.py`).
        """
        admission = read_admission()
        nodes = self._wait_for_nodes(parties, timeout, parties if least is None else least)
        questions = {f"node {node}": (node, DescribeRequest()) for node in nodes}
        # A node that has just gone may still be listed.
        dispensable = () if least is None else questions
        answers = self._round_trip(questions, Envelope(self._study), dispensable)
        for node, about in answers.items():
            if not about.name or about.name != text_line(about.name)[:_NAME]:
                raise FederationError(
                    f"A party calls itself {about.name[:_NAME]!r}; a name is one short line of text."
                )
            number, _ = questions[node]
            if admission is not None:
                admission.require(nodes[number], about)
            if about.name in self._nodes:
                raise FederationError(f"Two parties call themselves {about.name!r}; names must differ.")
            self._nodes[about.name] = number
        # Node ids are random; the order of the parties decides the order of sums, and must not.
        return {about.name: about for about in sorted(answers.values(), key=lambda about: about.name)}

    def ask(
        self, requests: Mapping[str, Request[Reply]], model: str = "", dispensable: Collection[str] = ()
    ) -> dict[str, Reply]:
        """One round trip, if anybody is asked: send each party its request, return each party's reply.

        model names the state at the parties that the requests touch, by default the study's own. A dispensable party
        that keeps silent or fails has no reply; all else raises FederationError naming the party, its refusal too.
        """
        if not requests:
            return {}
        questions = {party: (self._nodes[party], request) for party, request in requests.items()}
        return self._round_trip(questions, Envelope(self._study, model), dispensable)

    def ask_each(
        self, request: Request[Reply], model: str = "", dispensable: Collection[str] = ()
    ) -> dict[str, Reply]:
        """The same request to every party of the role that it is declared for."""
        role = declaration_of(type(request)).to
        return self.ask(dict.fromkeys(self.roster.of(role), request), model, dispensable)

    def ask_holder(self, request: Request[Reply], model: str = "") -> Reply:
        """One round trip with the label holder of a vertical federation."""
        return self.ask({self.roster.holder: request}, model)[self.roster.holder]

    def _round_trip(
        self,
        questions: Mapping[str, tuple[int, Request[Reply]]],
        envelope: Envelope,
        dispensable: Collection[str] = (),
    ) -> dict[str, Reply]:
        (kind,) = {type(request) for _, request in questions.values()}
        declaration, to = declaration_of(kind), message_type(kind)
        packed = {}
        for party, (node, request) in questions.items():
            step = 0 if declaration.is_query else next(self._steps[party, envelope.model])
            packed[party] = node, pack(request, replace(envelope, step=step))
        records = self._send(to, packed, dispensable)
        action = to.partition(".")[2]
        replies = {
            party: _opened(party, to, declaration.replies, records[party])
            for party in packed
            if party in records
        }
        counted, spent = self._counted, sum(cpu_seconds for _, cpu_seconds in replies.values())
        self._counted = Costs(
            counted.round_trips + 1,
            counted.bytes_up + sum(size_of(record) for record in records.values()),
            counted.bytes_down + sum(size_of(record) for _, record in packed.values()),
            {**counted.cpu_by_action, action: counted.cpu_by_action.get(action, 0.0) + spent},
        )
        return {party: answer for party, (answer, _) in replies.items()}

    def _send(
        self, action: str, packed: Mapping[str, tuple[int, RecordDict]], dispensable: Collection[str]
    ) -> dict[str, RecordDict]:
        waiting, found = dict(packed), {}
        for _ in range(_ATTEMPTS):
            before = time.thread_time()
            replies, silent = self._push_and_pull(action, waiting)
            self._in_grid += time.thread_time() - before
            lost = dict.fromkeys(silent, f"did not answer {action} within {self._timeout:g} seconds")
            for party, message in replies.items():
                if message.has_content():
                    refused = refusal_in(message.content)
                    if refused is not None:
                        raise FederationError(f"Party {party} refused {action}: {refused.rstrip('.')}.")
                    found[party] = message.content
                elif message.error.code not in _TRANSIENT:
                    lost[party] = f"failed at {action}: {_reason(message.error)}"
            _raise_unless(dispensable, lost)
            waiting = {p: question for p, question in waiting.items() if p not in found and p not in lost}
            if not waiting:
                return found
        _raise_unless(dispensable, dict.fromkeys(waiting, f"did not get {action} in {_ATTEMPTS} attempts"))
        return found

    def _push_and_pull(
        self, action: str, packed: Mapping[str, tuple[int, RecordDict]]
    ) -> tuple[dict[str, Message], list[str]]:
        """Each party's reply or error message, and who kept silent."""
        messages = [Message(record, node, action, ttl=self._timeout) for node, record in packed.values()]
        ids = list(self._grid.push_messages(messages))
        if len(ids) != len(packed) or not all(ids):
            raise FederationError(f"Flower did not accept the messages of {action}; are they too large?")
        waiting = dict(zip(ids, packed, strict=True))
        replies: dict[str, Message] = {}

        def pull() -> bool:
            for message in self._grid.pull_messages(list(waiting)):
                replies[waiting.pop(message.metadata.reply_to_message_id)] = message
            return not waiting

        _poll(pull, self._timeout)
        return replies, list(waiting.values())

    def _wait_for_nodes(self, parties: int, timeout: float, least: int) -> dict[int, bytes]:
        """The public key of each node that is there, in PEM, by its id; empty where Flower asks for no key."""
        nodes: dict[int, bytes] = {}

        def look() -> bool:
            nodes.clear()
            nodes.update((node.node_id, node.public_key) for node in self._grid.get_nodes())
            return len(nodes) >= parties

        if not _poll(look, timeout) and len(nodes) < least:
            raise FederationError(
                f"{len(nodes)} of {parties} parties connected within {timeout:g} seconds; in simulation, start "
                f"the run with --federation-config num-supernodes={parties}."
            )
        return dict(sorted(nodes.items()))


def _poll(done: Callable[[], bool], timeout: float) -> bool:
    """Call until true or the time is up; the pause grows with the waiting, to waste neither time nor work."""
    began = time.monotonic()
    while not done():
        waited = time.monotonic() - began
        if waited > timeout:
            return False
        time.sleep(min(0.25, max(0.002, waited / 40)))
    return True


def _raise_unless(dispensable: Collection[str], lost: Mapping[str, str]) -> None:
    """Raises FederationError for who is lost, and why, unless one can do without them."""
    for why in lost.values():
        parties = [party for party, own in lost.items() if own == why and party not in dispensable]
        if parties:
            raise FederationError(f"Party {', '.join(parties)} {why.rstrip('.')}.")


def _opened(party: str, action: str, kinds: tuple[type[Any], ...], record: RecordDict) -> tuple[Any, float]:
    """A reply, and the CPU seconds that it cost the party."""
    try:
        return unpack(record, *kinds), envelope_of(record).cpu_seconds
    except ProtocolError as error:
        raise FederationError(
            f"The reply of party {party} to {action} is malformed: {text_line(str(error))}"
        ) from None


def _reason(error: Error) -> str:
    """The last line of Flower's report, without its wrapping."""
    lines = [line.strip() for line in (error.reason or "no reason given").splitlines() if line.strip()]
    return text_line(lines[-1].split("Message: ", 1)[-1].rstrip(".'>"))
