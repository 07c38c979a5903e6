"""What leaves a party when something goes wrong, and where a message may not lead."""

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from clients.session import state_folder
from fl.alignment import MeetRequest
from fl.config.run import TrainingConfig
from fl.errors import ProtocolError
from fl.handshake import DescribeRequest
from fl.messages import Letter
from fl.network import FinishRequest, Verdict
from fl.wire import Envelope, pack, refusal, refusal_in, to_bytes

SECRET = "业00017 owes 4,200,000"
Send = Callable[..., RecordDict]


def test_data_that_are_not_in_order_stay_in_the_party_log(
    send: Send, config: TrainingConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "broken"
    shutil.copytree(config.data, data, ignore=shutil.ignore_patterns("state"))
    table = data / "bank" / "table.csv"
    table.write_text(
        table.read_text("utf-8").replace("coal", "coal", 1) + "secret-id,1e,2,3,coal,0\n", "utf-8"
    )

    broken = replace(config, data=str(data))
    record = send(broken, DescribeRequest())

    said = "the data in bank are not in order; its own log says what and where (state/party.log)"
    assert refusal_in(record) == said
    written = state_folder(broken, data / "bank") / "party.log"
    assert "table.csv" in written.read_text("utf-8")
    assert written.stat().st_mode & 0o077 == 0
    assert b"secret-id" not in to_bytes(record)
    assert "1e" in caplog.text
    assert "table.csv" in caplog.text


@pytest.mark.parametrize("error", [ValueError, KeyError, MemoryError, AssertionError, UnicodeError, OSError])
def test_what_nobody_foresaw_stays_in_the_partys_own_log(
    send: Send,
    config: TrainingConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
) -> None:
    def fail(session: object, request: DescribeRequest) -> None:
        raise error(SECRET)

    monkeypatch.setattr("clients.handshake.describe", fail)

    with caplog.at_level(logging.ERROR):
        refused = refusal_in(send(config, DescribeRequest()))

    assert refused == "it met an unexpected error; its own log says which (state/party.log)"
    assert SECRET in caplog.text
    assert SECRET in Path(config.state, "bank", "party.log").read_text("utf-8")


@pytest.mark.parametrize("fails", ["clients.answering._write_log", "clients.answering.refusal"])
def test_finding_9_what_fails_in_telling_of_a_failure_stays_there_too(
    send: Send, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(SECRET)

    monkeypatch.setattr("clients.handshake.describe", fail)
    monkeypatch.setattr(fails, fail)
    assert refusal_in(send(config, DescribeRequest())) == "it met an unexpected error, which it could not log"


def test_finding_9_a_study_does_not_take_the_place_of_the_log(
    send: Send, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(config.state, "bank", "party.log")
    with pytest.raises(ProtocolError, match="no valid name"):
        Envelope("party.log", "", 1)
    monkeypatch.setattr("fl.wire._NAME", re.compile("[a-z.]+"))
    send(config, MeetRequest({}), Envelope("party.log", "", 1))
    assert place.is_dir()


def test_a_refusal_is_one_short_line() -> None:
    record = refusal("a\n b\x1b" + "x" * 10_000)
    assert refusal_in(record) == "a b?" + "x" * 1_996
    for odd in (ConfigRecord({"text": 5}), ConfigRecord({}), ArrayRecord()):
        assert refusal_in(RecordDict({"refusal": odd})) == "it gave no reason"


@pytest.mark.parametrize(
    ("request_", "envelope"),
    [
        (MeetRequest({}), Envelope("s", "", 0)),
        (FinishRequest(Letter.of(Verdict(False))), Envelope("s", "m", 0)),
        (MeetRequest({}), Envelope("", "", 1)),
        (DescribeRequest(), Envelope("s", "", 1)),
        (MeetRequest({}), Envelope("s", "", -1)),
    ],
    ids=str,
)
def test_no_request_goes_round_the_count_of_steps(
    send: Send, config: TrainingConfig, request_: object, envelope: Envelope
) -> None:
    assert "step" in refusal_in(send(config, request_, envelope))
    assert kept(config) == OWN


@pytest.fixture
def sent_with(
    send: Send, introduction: Callable[[TrainingConfig], MeetRequest], config: TrainingConfig
) -> Callable[..., RecordDict]:
    """The reply to a request whose envelope no honest coordinator could have made."""
    request = introduction(config)

    def deliver(**envelope: object) -> RecordDict:
        record = pack(request, Envelope("s", "", 1))
        head = next(iter(record))
        record[head] = ConfigRecord(dict(record[head]) | envelope)
        return send(config, record, to="train.alignment_meet")

    return deliver


OWN = {"identity.pem", "audit.log", "audit.head"}
"""What a party keeps that has refused everything: its keys, and that it refused."""


def kept(config: TrainingConfig) -> set[str]:
    """The names of all that the parties keep."""
    return {path.name for party in Path(config.state).iterdir() for path in party.iterdir()}


def test_the_honest_envelope_is_answered(
    sent_with: Callable[..., RecordDict], config: TrainingConfig
) -> None:
    assert refusal_in(sent_with()) is None
    assert kept(config) == {*OWN, "s"}


TAKEN = ["party.log", "identity.pem", "audit.log", "@scoring"]
"""Names in a party's state that are no studies."""


@pytest.mark.parametrize(
    "study",
    [
        *TAKEN,
        "..",
        "../s",
        "/etc",
        "s/../../x",
        "s/x",
        "a\\b",
        "a\nb",
        "a\0b",
        ".hidden",
        "x" * 101,
        "业",
        7,
        b"s",
    ],
)
def test_a_study_is_a_folder_of_the_state_and_nothing_else(
    sent_with: Callable[..., RecordDict], config: TrainingConfig, study: object
) -> None:
    assert refusal_in(sent_with(study=study))
    assert kept(config) == OWN


@pytest.mark.parametrize(
    "odd",
    [
        {"model": "../x"},
        {"model": "a//b"},
        {"model": "/x"},
        {"step": 1.0},
        {"step": "1"},
        {"step": True},
        {"x": 1},
        {"kind": 7},
        {"kind": "MatchRequest"},
        {"pieces": 2},
        {"pieces": "1"},
    ],
    ids=str,
)
def test_an_envelope_has_its_declared_form(
    sent_with: Callable[..., RecordDict], config: TrainingConfig, odd: dict
) -> None:
    assert refusal_in(sent_with(**odd))
    assert kept(config) == OWN
