"""What the coordinator asks its own SuperLink: who is registered and connected, and which runs there are.

Flower's command line answers the same, but leaves out the keys, by which alone a party is known, and takes seconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from flwr.proto.control_pb2 import ListNodesRequest, ListRunsRequest, RegisterNodeRequest, StopRunRequest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from experiments.backends.flower import BackendError
from experiments.federation.coordinator import SUPERLINK
from experiments.federation.layout import Layout, PartyNode, Record


@dataclass(frozen=True)
class Connected:
    """Whether the SuperLink hears of a SuperNode, and since when it does or does not (ISO 8601; empty: never)."""

    is_online: bool
    since: str


@dataclass(frozen=True)
class Run:
    """A run that has not ended: its number, Flower's word for its state, and since when (ISO 8601)."""

    number: int
    state: str
    since: str


class SuperLink:
    """The SuperLink of a federation. Every call raises BackendError when it does not answer."""

    def __init__(self, layout: Layout, record: Record) -> None:
        self._address = f"127.0.0.1:{record.ports[SUPERLINK]}"
        self._authority = layout.coordinator.authority

    def register(self, node: PartyNode, name: str) -> None:
        """Register a party's key under a name."""
        with self._client() as client:
            client.RegisterNode(RegisterNodeRequest(public_key=_pem(node), name=name))

    def connected(self, node: PartyNode) -> Connected | None:
        """What it knows of the SuperNode with a party's key; nothing if that is not registered."""
        key = _pem(node)
        with self._client() as client:
            nodes = [one for one in client.ListNodes(ListNodesRequest()).nodes_info if one.public_key == key]
        for one in nodes:
            if one.status != "unregistered":
                is_online = one.status == "online"
                return Connected(is_online, one.last_activated_at if is_online else one.last_deactivated_at)
        return None

    def runs(self) -> list[Run]:
        """The runs that have not ended, the newest first."""
        with self._client() as client:
            runs = client.ListRuns(ListRunsRequest()).run_dict
        return [
            Run(number, run.status.status, run.running_at or run.pending_at)
            for number, run in sorted(runs.items(), key=lambda item: item[1].pending_at, reverse=True)
            if run.status.status != "finished"
        ]

    def end(self, number: int) -> str:
        """End a run whose ServerApp has died, so that parties do not wait for the rest of its messages.

        Returns why it had failed, in Flower's words, if it had ended before.
        """
        with self._client() as client:
            status = client.ListRuns(ListRunsRequest(run_id=number)).run_dict[number].status
            if status.status != "finished":
                client.StopRun(StopRunRequest(run_id=number))
        return str(status.details)

    @contextmanager
    def _client(self) -> Iterator[ControlHttpClient]:
        version = RuntimeVersionHttpInterceptor(component_name="flwr CLI")
        trust = self._authority.read_bytes()
        try:
            client = ControlHttpClient.from_server_address(
                self._address, False, trust, interceptors=[version]
            )
            try:
                yield client
            finally:
                client.close()
        except httpx.HTTPError as error:
            raise BackendError(f"The SuperLink at {self._address} does not answer: {error}") from None


def _pem(node: PartyNode) -> bytes:
    """A party's public key as Flower keeps it."""
    key = load_ssh_public_key(node.public_key.read_bytes())
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
