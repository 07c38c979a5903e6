"""What a party's half works with: its state, its data and its folders, and how long they stay."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from flwr.app import RecordDict

from clients.data.declaration import Cluster, Declaration, read_declaration, write_declaration
from clients.policy import Policy
from clients.session import Session, state_folder
from clients.splits import assign
from fl.alignment import (
    BlindRequest,
    MeetRequest,
    Order,
)
from fl.config.run import ScoringConfig, TrainingConfig
from fl.errors import ProtocolError
from fl.handshake import DescribeRequest, Description
from fl.protocols import vertical_contenders
from fl.splits import Split, SplitRequest
from fl.wire import Envelope, refusal_in, unpack
from server.coordinator import assign_roles, train, train_reserve
from server.progress import ignore
from server.training import Training

FIRST, SECOND = (Envelope("s", "", step) for step in (1, 2))
Send = Callable[..., RecordDict]
Meet = Callable[[TrainingConfig], None]


def test_a_state_is_read_as_the_kind_that_was_kept(config: TrainingConfig, tmp_path: Path) -> None:
    session = Session(config, FIRST, tmp_path, tmp_path)
    session.keep(Split(np.arange(3, dtype=np.int8)))
    assert session.state(Split).roles.tolist() == [0, 1, 2]
    with pytest.raises(ProtocolError, match="is not of its declared form"):
        session.state(Order)
    session.keep(None)
    with pytest.raises(ProtocolError, match="it has nothing to go on from"):
        session.state(Split)


def test_what_one_kind_of_run_asks_is_refused_in_the_other(config: TrainingConfig, tmp_path: Path) -> None:
    training, scoring = (Session(one, FIRST, tmp_path, tmp_path) for one in (config, ScoringConfig()))
    assert (training.is_scoring, scoring.is_scoring) == (False, True)
    assert training.training is config
    assert scoring.scoring == ScoringConfig()
    with pytest.raises(ProtocolError, match="in a run that scores only"):
        _ = training.scoring
    with pytest.raises(ProtocolError, match="in a run that trains only"):
        _ = scoring.training


# Where a party has its data and its state.


def test_partition_k_is_the_kth_party(send: Send, config: TrainingConfig) -> None:
    for partition, name in enumerate(config.parties):
        record = send(config, DescribeRequest(), node={"partition-id": partition})
        assert unpack(record, Description).name == name


def test_more_nodes_than_parties_is_said_so(send: Send, config: TrainingConfig) -> None:
    refused = refusal_in(send(config, DescribeRequest(), node={"partition-id": 3}))
    assert "more SuperNodes than the 3 parties" in refused
    assert "num-supernodes=3" in refused


def test_a_relative_data_folder_is_refused(send: Send, config: TrainingConfig) -> None:
    assert "absolute path" in refusal_in(send(replace(config, data="demo"), DescribeRequest()))


def test_a_deployed_party_has_its_own_folder_and_keeps_its_state_there_whatever_the_run_says(
    send: Send, tables: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bank"
    shutil.copytree(tables / "bank", folder, ignore=shutil.ignore_patterns("state"))
    table = (folder / "table.csv").read_text("utf-8").splitlines()
    (folder / "table.csv").write_text("\n".join(table[:101]), "utf-8")
    config, node = TrainingConfig(study="s", state=str(tmp_path / "elsewhere")), {"party-folder": str(folder)}

    about = unpack(send(config, DescribeRequest(), node=node), Description)
    met = send(config, MeetRequest({"bank": about.introduction}), FIRST, node)

    assert (about.rows, refusal_in(met)) == (100, None)
    assert (folder / "state" / "s").is_dir()
    assert not (tmp_path / "elsewhere").exists()
    assert read_declaration(folder).name == "bank"


def test_a_deployed_party_does_not_go_on_from_a_backup_of_its_state(
    send: Send, tables: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bank"
    shutil.copytree(tables / "bank", folder, ignore=shutil.ignore_patterns("state"))
    config, node = TrainingConfig(study="s"), {"party-folder": str(folder)}
    about = unpack(send(config, DescribeRequest(), node=node), Description)
    meet = MeetRequest({"bank": about.introduction})
    assert refusal_in(send(config, meet, FIRST, node)) is None
    shutil.copytree(folder / "state", tmp_path / "backup")
    assert refusal_in(send(config, BlindRequest(), SECOND, node)) is None

    shutil.rmtree(folder / "state")
    (tmp_path / "backup").rename(folder / "state")

    for request, step in ((BlindRequest(), SECOND), (meet, FIRST)):
        assert "was restored from a backup" in refusal_in(send(config, request, step, node))
    assert refusal_in(send(config, meet, replace(FIRST, study="t"), node)) is None


def test_only_a_deployed_party_works_on_its_cluster(
    send: Send, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr("clients.answering.use_cluster", lambda *cluster: asked.append(cluster))
    shutil.copytree(tables / "bank", tmp_path / "bank", ignore=shutil.ignore_patterns("state"))
    write_declaration(
        tmp_path / "bank", replace(read_declaration(tables / "bank"), cluster=Cluster("10.0.0.5:6379", 8))
    )
    config = TrainingConfig(study="s", data=str(tmp_path), parties=("bank",), state=str(tmp_path / "state"))

    assert refusal_in(send(config, DescribeRequest(), node={"partition-id": 0})) is None
    assert not asked
    assert refusal_in(send(config, DescribeRequest(), node={"party-folder": str(tmp_path / "bank")})) is None
    assert asked == [("10.0.0.5:6379", 8)]


def test_the_state_of_a_simulated_party_is_where_the_run_says_else_beside_the_data_of_the_training(
    tmp_path: Path,
) -> None:
    data, trained_on = tmp_path / "new" / "tax", str(tmp_path / "old")
    for config, folder in (
        (TrainingConfig(), data / "state"),
        (TrainingConfig(state="/state"), Path("/state/tax")),
        (ScoringConfig(), data / "state"),
        (ScoringConfig(model_data=trained_on), Path(trained_on, "tax", "state")),
        (ScoringConfig(model_data=trained_on, state="/state"), Path("/state/tax")),
    ):
        assert state_folder(config, data) == folder


def test_a_new_study_ends_the_oldest(meet: Meet, config: TrainingConfig) -> None:
    for study in ("a", "b", "c"):
        meet(replace(config, keep_studies=2, study=study))
    assert {path.name for path in Path(config.state, "bank").glob("*/")} == {"b", "c"}


@pytest.mark.parametrize("contender", [name for name in vertical_contenders() if name != "federated-blend"])
def test_a_study_that_breaks_off_pushes_no_trained_one_out(
    tables: Path, tmp_path: Path, federate: Callable, contender: str
) -> None:
    def begin(study: str) -> NamedTuple:
        return federate(tables, study=study, state=str(tmp_path / "state"), keep_studies=1)

    def end(run: NamedTuple) -> None:
        assigned = assign_roles(run.federation, 1)
        train_reserve(run.federation, assigned, 1, ignore)
        settings = {"assigned": assigned, "config": run.config, "on_progress": ignore}
        train(run.federation, Training(contender=contender, seed=1, **settings))

    def kept() -> list[list[str]]:
        return [sorted(path.name for path in party.glob("*/")) for party in (tmp_path / "state").iterdir()]

    end(begin("trained"))
    broken = begin("broken").federation
    train_reserve(broken, assign_roles(broken, 1), 1, ignore)
    last = begin("last")
    assert kept() == [["last", "trained"]] * 3
    end(last)
    assert kept() == [["last"]] * 3


def test_data_that_change_are_read_anew(send: Send, config: TrainingConfig, tmp_path: Path) -> None:
    data = tmp_path / "changing"
    shutil.copytree(config.data, data, ignore=shutil.ignore_patterns("state"))
    config = replace(config, data=str(data))
    assert unpack(send(config, DescribeRequest()), Description).rows == 400
    table = data / "bank" / "table.csv"
    table.write_text("\n".join(table.read_text("utf-8").splitlines()[:101]) + "\n", "utf-8")
    assert unpack(send(config, DescribeRequest()), Description).rows == 100


def test_a_declaration_is_read_once_until_its_file_changes(
    config: TrainingConfig, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read = Path(shutil.copytree(tables / "bank", tmp_path / "bank")), []

    def counted(folder: Path) -> Declaration:
        read.append(folder)
        return read_declaration(folder)

    monkeypatch.setattr("clients.session.read_declaration", counted)
    sessions = [Session(config, FIRST, folder, tmp_path) for _ in range(3)]
    assert sessions[0].declaration == sessions[1].declaration == read_declaration(folder)
    assert len(read) == 1
    write_declaration(folder, replace(sessions[0].declaration, policy=Policy(models_per_day=1)))
    assert sessions[2].declaration.policy.models_per_day == 1


def test_a_split_is_refused_in_a_run_that_scores(tables: Path, tmp_path: Path) -> None:
    session = Session(ScoringConfig(), Envelope("s", "splits/1", 1), tables / "bank", tmp_path)
    with pytest.raises(ProtocolError, match="in a run that trains only"):
        assign(session, SplitRequest(1))
