"""What stands in front of the service: nobody without a key, and no body larger than `MOST_BYTES`, is read."""

import time

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clients.data.errors import DataError
from clients.serving.keys import Keys
from clients.serving.metrics import Metrics

MOST_BYTES = 4 << 20
OPEN = ("/health", "/docs", "/openapi.json")
"""Paths that need no key: they tell nothing of an applicant."""
_TOO_LARGE = HTTPException(413, f"A body has at most {MOST_BYTES:,} bytes; post fewer applicants at a time.")
_NO_KEY = HTTPException(
    401,
    "Send a client's key as Authorization: Bearer KEY; `siloscore serve DIR --new-key CLIENT` makes one.",
    {"WWW-Authenticate": "Bearer"},
)
_NO_KEYS = HTTPException(503, "The keys of the clients cannot be read.")


class Guard:
    """An ASGI app before another one; it counts all requests, too."""

    def __init__(self, app: ASGIApp, keys: Keys, metrics: Metrics) -> None:
        self._app, self._keys, self._metrics = app, keys, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, received = time.perf_counter(), 500, 0

        async def sent(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MOST_BYTES:
                raise _TOO_LARGE
            return message

        headers = dict(scope["headers"])
        client, refusal = self._admitted(scope["path"], headers.get(b"authorization", b"").decode("latin-1"))
        if refusal is None and int(headers.get(b"content-length", b"0")) > MOST_BYTES:
            refusal = _TOO_LARGE
        try:
            if refusal:
                answer = JSONResponse({"detail": refusal.detail}, refusal.status_code, refusal.headers)
                await answer(scope, receive, sent)
            else:
                await self._app(scope, bounded, sent)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.count(client, scope["method"], path, status, time.perf_counter() - began)

    def _admitted(self, path: str, authorization: str) -> tuple[str, HTTPException | None]:
        """The client, empty where it has no key, and why it is refused."""
        if path in OPEN:
            return "", None
        scheme, _, key = authorization.partition(" ")
        try:
            client = self._keys.client_of(key.strip()) if scheme.lower() == "bearer" else None
        except DataError:
            return "", _NO_KEYS
        return client or "", None if client else _NO_KEY
