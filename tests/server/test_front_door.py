"""The coordinator's front door, in this process: what passes, what is held, and what is refused."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from flwr.proto.message_pb2 import PullObjectResponse

from server import front_door
from server.front_door import LARGEST_BODY, FrontDoor, Undelivered

Answer = Callable[[httpx.Request], httpx.Response]

NOWHERE = Undelivered(Path("no-such-database"))


def ask(
    answer: Answer,
    method: str,
    path: str,
    undelivered: Callable[[], frozenset[str]] = NOWHERE,
    **request: object,
) -> httpx.Response:
    """What the front door of a SuperLink that answers so says to one request."""

    async def asked() -> httpx.Response:
        superlink = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="https://superlink")
        door = httpx.ASGITransport(FrontDoor(superlink, undelivered).app)
        async with httpx.AsyncClient(transport=door, base_url="https://door") as client:
            return await client.request(method, path, **request)

    return asyncio.run(asked())


def no_superlink(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.url} has passed")


def test_a_call_passes_with_its_body_and_its_headers() -> None:
    heard: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(401, content=b"no", headers={"x-reason": "key", "connection": "close"})

    said = ask(
        answer, "POST", "/v1/fleet/get-run", content=b"body", headers={"flwr-signature": "s", "te": "x"}
    )

    assert (said.status_code, said.content, said.headers["x-reason"]) == (401, b"no", "key")
    assert "connection" not in said.headers
    (request,) = heard
    assert (request.method, request.url, request.content) == (
        "POST",
        "https://superlink/v1/fleet/get-run",
        b"body",
    )
    assert (request.headers["flwr-signature"], request.headers["host"]) == ("s", "superlink")
    assert "te" not in request.headers


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/v1/control/start-run",
        "/v1/runtime/acquire-task",
        "/v1/fleet/",
        "/v1/fleet/register-node",
        "/v1/fleet/get-run/",
        "/v1/fleet//get-run",
        "/v1/fleet/get-run?x=1",
        "/v1/fleet/../control/start-run",
        "/v1/fleet/%2e%2e/control/start-run",
        "/v1/fleet/..%2fcontrol%2fstart-run",
        "/v1/fleet/get%2drun",
        "/v1/fleet/get-run%00",
        "/V1/fleet/get-run",
        "//v1/fleet/get-run",
        "/v1/fleet/get-run;/../../control/start-run",
    ],
)
def test_nothing_else_passes(path: str) -> None:
    assert ask(no_superlink, "POST", path).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_no_other_method_passes(method: str) -> None:
    assert ask(no_superlink, method, "/v1/fleet/get-run").status_code == 405


def test_a_body_is_bounded() -> None:
    assert (
        ask(no_superlink, "POST", "/v1/fleet/push-object", content=bytes(LARGEST_BODY + 1)).status_code == 413
    )


def test_while_the_superlink_is_away_a_supernode_is_told_to_try_again() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert ask(away, "POST", "/v1/fleet/pull-messages").status_code == 503


@pytest.mark.parametrize(
    ("call", "to_come", "there"),
    [
        ("pull-messages", b"", b"message"),
        (
            "pull-object",
            PullObjectResponse(object_found=True).SerializeToString(),
            PullObjectResponse(
                object_found=True, object_available=True, object_content=b"x"
            ).SerializeToString(),
        ),
    ],
)
def test_a_question_is_held_until_there_is_an_answer(
    call: str, to_come: bytes, there: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_door, "_LOOK_SECONDS", 0.001)
    answers = [to_come, to_come, there]

    said = ask(lambda request: httpx.Response(200, content=answers.pop(0)), "POST", f"/v1/fleet/{call}")

    assert (said.content, answers) == (there, [])


def test_the_superlink_is_asked_again_when_a_message_has_come_that_nobody_has_got(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_door, "_LOOK_SECONDS", 0.001)
    database = tmp_path / "superlink.db"
    superlink = sqlite3.connect(database)
    superlink.execute("PRAGMA journal_mode = WAL")
    superlink.execute("CREATE TABLE message_ins (message_id TEXT, delivered_at TEXT)")
    superlink.execute("INSERT INTO message_ins VALUES ('of another party', ''), ('delivered', '2026')")
    superlink.commit()
    undelivered = Undelivered(database)
    looks: list[frozenset[str]] = []

    def look() -> frozenset[str]:
        if len(looks) == 5:
            superlink.execute("INSERT INTO message_ins VALUES ('new', '')")
            superlink.commit()
        looks.append(undelivered())
        return looks[-1]

    answers = [b"", b"message"]
    said = ask(
        lambda request: httpx.Response(200, content=answers.pop(0)), "POST", "/v1/fleet/pull-messages", look
    )

    assert (said.content, answers) == (b"message", [])
    assert looks == [frozenset({"of another party"})] * 5 + [frozenset({"of another party", "new"})]


def test_a_question_is_not_held_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_door, "_HOLD_SECONDS", 0.05)

    said = ask(lambda request: httpx.Response(200), "POST", "/v1/fleet/pull-messages")

    assert (said.status_code, said.content) == (200, b"")


def test_what_is_not_there_is_not_waited_for() -> None:
    gone = PullObjectResponse().SerializeToString()

    assert (
        ask(lambda request: httpx.Response(200, content=gone), "POST", "/v1/fleet/pull-object").content
        == gone
    )
