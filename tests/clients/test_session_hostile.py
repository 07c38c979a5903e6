"""What leaves a party when something goes wrong, and where a message may not lead."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict

from fl.alignment import BlindRequest
from fl.config.run import RunConfig
from fl.handshake import DescribeRequest
from fl.messages import ENVELOPE, Envelope, pack, refusal_in
from fl.network import FinishRequest

SECRET = "业00017 owes 4,200,000"
Send = Callable[..., RecordDict]


@pytest.fixture
def config(tables: Path, tmp_path: Path) -> RunConfig:
    return RunConfig(data=str(tables), parties="bank,tax,supply", state=str(tmp_path / "state"), study="s")


@pytest.mark.parametrize("error", [ValueError, KeyError, MemoryError, AssertionError, UnicodeError, OSError])
def test_what_nobody_foresaw_stays_in_the_partys_own_log(
    send: Send,
    config: RunConfig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
) -> None:
    def fail(session: object, request: DescribeRequest) -> None:
        raise error(SECRET)

    monkeypatch.setattr("clients.handshake.describe", fail)

    with caplog.at_level(logging.ERROR):
        refused = refusal_in(send(config, "query.handshake_describe", DescribeRequest(), Envelope("s")))

    assert refused == "it met an unexpected error; its own log says which (state/party.log)"
    assert SECRET in caplog.text


@pytest.mark.parametrize(
    ("action", "body", "envelope"),
    [
        ("train.alignment_blind", BlindRequest(), Envelope("s", "", 0)),
        ("train.network_finish", FinishRequest(False), Envelope("s", "m", 0)),
        ("train.alignment_blind", BlindRequest(), Envelope("", "", 1)),
        ("query.handshake_describe", DescribeRequest(), Envelope("s", "", 1)),
        ("train.alignment_blind", BlindRequest(), Envelope("s", "", -1)),
    ],
)
def test_no_request_goes_round_the_count_of_steps(
    send: Send, config: RunConfig, action: str, body: object, envelope: Envelope
) -> None:
    assert "step" in refusal_in(send(config, action, body, envelope))
    assert not Path(config.state).exists()


def sent_with(config: RunConfig, **envelope: object) -> RecordDict:
    """The reply to a blind request whose envelope no honest coordinator could have made."""
    from clients.app import app
    from experiments.backends.inline import InlineGrid

    InlineGrid(config)
    record = pack(BlindRequest(), Envelope("s", "", 1))
    record[ENVELOPE] = ConfigRecord(dict(record[ENVELOPE]) | envelope)
    context = Context(1, 2, {"partition-id": 0}, RecordDict(), dict(config.to_mapping()))
    return app(Message(record, 2, "train.alignment_blind"), context).content


@pytest.mark.parametrize(
    "study",
    ["..", "../s", "/etc", "s/../../x", "s/x", "a\\b", "a\nb", "a\0b", ".hidden", "x" * 101, "业", 7, b"s"],
)
def test_a_study_is_a_folder_of_the_state_and_nothing_else(config: RunConfig, study: object) -> None:
    assert refusal_in(sent_with(config, study=study))
    assert not Path(config.state).exists()


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
    ],
)
def test_an_envelope_has_its_declared_form(config: RunConfig, odd: dict) -> None:
    assert refusal_in(sent_with(config, **odd))
    assert not Path(config.state).exists()


def test_a_deployed_party_keeps_its_state_where_it_and_not_the_run_decides(
    send: Send, config: RunConfig, tables: Path, tmp_path: Path
) -> None:
    elsewhere = replace(config, state=str(tmp_path / "elsewhere"), study="deployed")
    own = Path(shutil.copytree(tables / "tax", tmp_path / "tax"))
    node = {"party-folder": str(own)}

    send(elsewhere, "train.alignment_blind", BlindRequest(), Envelope("deployed", "", 1), node)

    assert not (tmp_path / "elsewhere").exists()
    assert (own / "state" / "deployed").is_dir()
