import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict

from clients.data.declaration import read_declaration
from clients.session import state_folder
from clients.store import Store
from fl.alignment import BlindedIds, BlindRequest, MatchRequest, OrderRequest
from fl.config.run import RunConfig
from fl.handshake import DescribeRequest, Description
from fl.messages import Envelope, envelope_of, refusal_in, to_bytes, unpack

FIRST = Envelope("s", "", 1)
HELLO = Envelope("s")


@pytest.fixture
def config(tables: Path, tmp_path: Path) -> RunConfig:
    return RunConfig(data=str(tables), parties="bank,tax,supply", state=str(tmp_path / "state"), study="s")


Send = Callable[..., RecordDict]


def test_a_reply_repeats_the_envelope_and_tells_its_cost(send: Send, config: RunConfig) -> None:
    envelope = envelope_of(send(config, "train.alignment_blind", BlindRequest(), FIRST))

    assert replace(envelope, cpu_seconds=0.0) == FIRST
    assert envelope.cpu_seconds > 0


@pytest.mark.parametrize("fresh_process", [False, True])
def test_a_request_that_comes_twice_is_answered_from_the_store(
    send: Send, config: RunConfig, fresh_process: bool
) -> None:
    # Applied twice, it would draw another exponent and give other points.
    first = send(config, "train.alignment_blind", BlindRequest(), FIRST)
    kept = Store(Path(config.state, "bank", "s")).last()
    if fresh_process:
        Store._last.clear()

    second = send(config, "train.alignment_blind", BlindRequest(), FIRST)

    assert to_bytes(second) == to_bytes(first)
    again = Store(Path(config.state, "bank", "s")).last()
    assert again.step == kept.step
    for name, array in kept.state.items():
        np.testing.assert_array_equal(again.state[name], array)


@pytest.mark.parametrize("step", [2, 5])
def test_a_step_that_does_not_follow_the_last_is_refused(send: Send, config: RunConfig, step: int) -> None:
    request = OrderRequest(np.empty(0, np.int32), np.empty(0, np.int32))
    record = send(config, "train.alignment_order", request, Envelope("s", "", step))
    assert f"step {step} of s/ does not follow its last step 0" in refusal_in(record)


def test_a_refused_request_changes_nothing(send: Send, config: RunConfig) -> None:
    send(config, "train.alignment_blind", BlindRequest(), FIRST)
    before = Store(Path(config.state, "bank", "s")).last()

    damaged = {"tax": np.zeros((3, 32), np.uint8)}
    rows = np.zeros((len(before.state["ids"]), 32), np.uint8)
    record = send(
        config, "train.alignment_match", MatchRequest("left", damaged, {"tax": rows}), Envelope("s", "", 2)
    )

    assert "no point of the group" in refusal_in(record)
    assert Store(Path(config.state, "bank", "s")).last().step == 1


def test_a_message_of_another_type_is_refused(send: Send, config: RunConfig) -> None:
    record = send(config, "train.alignment_blind", DescribeRequest(), Envelope("s", "", 1))
    assert refusal_in(record) is None  # both are empty messages
    record = send(config, "train.alignment_match", DescribeRequest(), Envelope("s", "", 2))
    assert "MatchRequest message lacks" in refusal_in(record)


def test_a_question_leaves_no_trace(send: Send, config: RunConfig) -> None:
    send(config, "query.handshake_describe", DescribeRequest(), HELLO)
    assert not Path(config.state).exists()


def test_data_that_are_not_in_order_stay_in_the_party_log(
    send: Send, config: RunConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "broken"
    shutil.copytree(config.data, data, ignore=shutil.ignore_patterns("state"))
    table = data / "bank" / "table.csv"
    table.write_text(
        table.read_text("utf-8").replace("coal", "coal", 1) + "secret-id,1e,2,3,coal,0\n", "utf-8"
    )

    broken = replace(config, data=str(data))
    record = send(broken, "query.handshake_describe", DescribeRequest(), HELLO)

    said = "the data in bank are not in order; its own log says what and where (state/party.log)"
    assert refusal_in(record) == said
    written = state_folder(broken, data / "bank") / "party.log"
    assert "table.csv" in written.read_text("utf-8")
    assert written.stat().st_mode & 0o077 == 0
    assert b"secret-id" not in to_bytes(record)
    assert "1e" in caplog.text
    assert "table.csv" in caplog.text


def test_partition_k_is_the_kth_party(send: Send, config: RunConfig) -> None:
    for partition, name in enumerate(config.party_names):
        node = {"partition-id": partition}
        record = send(config, "query.handshake_describe", DescribeRequest(), HELLO, node)
        assert unpack(Description, record).name == name


def test_more_nodes_than_parties_is_said_so(send: Send, config: RunConfig) -> None:
    record = send(config, "query.handshake_describe", DescribeRequest(), HELLO, {"partition-id": 3})
    assert "more SuperNodes than the 3 parties" in refusal_in(record)
    assert "num-supernodes=3" in refusal_in(record)


def test_a_relative_data_folder_is_refused(send: Send, config: RunConfig) -> None:
    record = send(replace(config, data="demo"), "query.handshake_describe", DescribeRequest(), HELLO)
    assert "absolute path" in refusal_in(record)


def test_a_deployed_party_has_its_own_folder_and_keeps_its_state_there(
    send: Send, tables: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tax"
    shutil.copytree(tables / "tax", folder, ignore=shutil.ignore_patterns("state"))

    record = send(
        RunConfig(study="s"), "train.alignment_blind", BlindRequest(), FIRST, {"party-folder": str(folder)}
    )

    rows = len((folder / "table.csv").read_text("utf-8").splitlines()) - 1
    assert len(unpack(BlindedIds, record).points) == rows
    assert (folder / "state" / "s").is_dir()
    assert read_declaration(folder).name == "tax"


def test_a_new_study_ends_the_oldest(send: Send, config: RunConfig) -> None:
    for study in ("a", "b", "c"):
        limited = replace(config, keep_studies=2, study=study)
        send(limited, "train.alignment_blind", BlindRequest(), Envelope(study, "", 1))
    assert {path.name for path in Path(config.state, "bank").iterdir()} == {"b", "c"}
