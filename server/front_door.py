"""The coordinator's front door: the only port of the coordinator that parties reach.

Flower's SuperLink has three interfaces on one port, and one of them, the Control API, lets whoever reaches it start
runs and register nodes. So the SuperLink listens for the coordinator alone, and this program stands before it. It ends
TLS, passes on the calls of a SuperNode that has a registered key, and answers everything else itself: 404, and 405 for
another method than POST.

It reads no message. It holds two kinds of questions until there is an answer, since Flower's SuperNode sleeps when
there is none: three seconds after it has asked for messages and got none, and a second after it has asked for a part of
a message that the coordinator is still sending. Meanwhile it sees in the SuperLink's database whether a message has
come, which costs a hundredth of asking the SuperLink.

`python -m server.front_door --help` tells how it is started.
"""

import argparse
import asyncio
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

CALLS = frozenset(
    {
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "get-run",
        "get-fab",
        "push-object",
        "pull-object",
        "confirm-message-received",
    }
)
"""What a SuperNode with a registered key asks for. Not `register-node`, by which one without a key would join."""

LARGEST_BODY = 16 * 2**20
"""Bytes. Objects travel in pieces of five megabytes (`fl/wire.py`)."""

_HOLD_SECONDS = 20.0
"""A SuperNode waits 30 seconds for an answer."""
_LOOK_SECONDS, _PART_LOOK_SECONDS = 0.05, 0.02
"""Between two looks: for messages; for a part of a message, which comes within moments."""
_PART_TO_COME = b"\x08\x01"
"""Flower's `PullObjectResponse` with `object_found` and nothing else; Flower itself would take a hundred megabytes."""
_SUPERLINK_SECONDS = 30.0
# Headers that belong to one connection, and not to the message that it carries (RFC 9110, section 7.6.1).
_HOP_HEADERS = {
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "upgrade",
    "expect",
}


class FrontDoor:
    """An ASGI application that passes the calls of SuperNodes on to a SuperLink.

    superlink sends requests; its base URL is the SuperLink's. undelivered gives the names of the messages that no
    SuperNode has got yet. A call gets 404 if it is none of `CALLS`, 413 if its body is larger than `LARGEST_BODY`
    bytes, and 503 while the SuperLink is away: then a SuperNode tries again.
    """

    def __init__(self, superlink: httpx.AsyncClient, undelivered: Callable[[], frozenset[str]]) -> None:
        self._superlink, self._undelivered = superlink, undelivered
        route = Route("/v1/fleet/{call}", self._answer, methods=["POST"])
        self.app = Starlette(routes=[route], lifespan=self._lifespan)
        # A path with a slash too many must not be led to the right one, since nothing else than the right one is meant.
        self.app.router.redirect_slashes = False

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with self._superlink:
            yield

    async def _answer(self, request: Request) -> Response:
        call = request.path_params["call"]
        if (
            call not in CALLS
            or request.scope["raw_path"] != f"/v1/fleet/{call}".encode()
            or request.url.query
        ):
            return Response(status_code=404)
        try:
            body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return Response(status_code=413)
        headers = {name: value for name, value in request.headers.items() if name not in _HOP_HEADERS}
        question = self._superlink.build_request("POST", f"/v1/fleet/{call}", content=body, headers=headers)
        try:
            answer = await self._answer_to(question, call, request.is_disconnected)
        except httpx.TransportError:
            # At 502, 503 and 504 Flower's SuperNode tries again; at 500 it would give up.
            return Response(status_code=503)
        kept = {n: v for n, v in answer.headers.items() if n not in _HOP_HEADERS | {"content-encoding"}}
        return Response(answer.content, answer.status_code, kept)

    async def _answer_to(
        self, question: httpx.Request, call: str, is_unwanted: Callable[[], Awaitable[bool]]
    ) -> httpx.Response:
        """The SuperLink's answer once there is something in it, or after `_HOLD_SECONDS`."""
        until, is_pull = time.monotonic() + _HOLD_SECONDS, call == "pull-messages"
        seen = self._undelivered() if is_pull else frozenset()
        answer = await self._superlink.send(question)
        while _is_to_come(call, answer) and time.monotonic() < until and not await is_unwanted():
            await asyncio.sleep(_LOOK_SECONDS if is_pull else _PART_LOOK_SECONDS)
            if is_pull:
                before, seen = seen, self._undelivered()
                if seen <= before:
                    continue
            answer = await self._superlink.send(question)
        return answer


def _is_to_come(call: str, answer: httpx.Response) -> bool:
    """Whether a question has no answer yet: there is no message, or a part of one has not arrived from its sender."""
    to_come = {"pull-messages": b"", "pull-object": _PART_TO_COME}
    return answer.status_code == 200 and answer.content == to_come.get(call)


async def _body(request: Request) -> bytes | None:
    """The body of a request; None if it is larger than `LARGEST_BODY`, of which no more than that is read."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


class Undelivered:
    """The names of the messages that no SuperNode has got yet, in the database of a SuperLink."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._connection: sqlite3.Connection | None = None

    def __call__(self) -> frozenset[str]:
        """The names, or one that was never there while the database cannot be read, so that the SuperLink is asked."""
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(f"{self._database.resolve().as_uri()}?mode=ro", uri=True)
            rows = self._connection.execute("SELECT message_id FROM message_ins WHERE delivered_at = ''")
            return frozenset(name for (name,) in rows)
        except sqlite3.Error:
            return frozenset({f"unknown at {time.monotonic()}"})


def open_front_door(superlink: str, root_certificates: Path, database: Path) -> Starlette:
    """The front door of the SuperLink at `superlink`, such as `127.0.0.1:9092`, whose certificate these roots sign."""
    client = httpx.AsyncClient(
        base_url=f"https://{superlink}",
        verify=ssl.create_default_context(cafile=str(root_certificates)),
        timeout=_SUPERLINK_SECONDS,
        # A variable of the environment that names a proxy is not meant for this.
        trust_env=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
    )
    return FrontDoor(client, Undelivered(database)).app


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(
        "python -m server.front_door", description="The only port that parties reach."
    )
    parser.add_argument("--host", default="127.0.0.1", help="Address to listen on. Default: 127.0.0.1.")
    parser.add_argument("--port", type=int, required=True, help="Port to listen on.")
    parser.add_argument(
        "--certificate", type=Path, required=True, help="PEM file of the certificate, with its chain."
    )
    parser.add_argument("--key", type=Path, required=True, help="PEM file of the certificate's private key.")
    parser.add_argument("--superlink", required=True, help="HOST:PORT of the SuperLink.")
    parser.add_argument(
        "--root-certificates", type=Path, required=True, help="PEM file that signs the SuperLink's."
    )
    parser.add_argument("--database", type=Path, required=True, help="The SuperLink's database.")
    given = parser.parse_args()
    uvicorn.run(
        open_front_door(given.superlink, given.root_certificates, given.database),
        host=given.host,
        port=given.port,
        ssl_certfile=given.certificate,
        ssl_keyfile=given.key,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
