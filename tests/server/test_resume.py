"""A coordinator that dies at every step of a run, and goes on: the models are those of a run that nobody disturbed."""

import stat
from collections import defaultdict
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message
from mlflow import MlflowClient

from clients.scoring import read_answers
from experiments.backends.inline import InlineGrid
from experiments.joined import read_scores
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import RunConfig, ScoringConfig, TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError
from fl.wire import digest_of, envelope_of, refusal_in
from server.coordinator import Trained, coordinate
from server.exchange import FederationError
from server.journal import Journal
from server.progress import ignore
from server.scoring import Scoring, score
from tests.full_disk import full_disk

pytestmark = pytest.mark.usefixtures("quick_tracking")

ALL = ("federated-scorecard", "federated-boosting", "federated-network", "federated-blend")


class Died(BaseException):
    """What ends a coordinator wherever it is."""


class DyingGrid(InlineGrid):
    """A grid that dies in the second round trip of a conversation, when some parties have their message.

    replies has, by node, model and step, the digests of all that a party ever answered.
    """

    def __init__(self, config: RunConfig, arrive: int, replies: defaultdict[tuple, set[bytes]]) -> None:
        super().__init__(config)
        self._arrive, self._round_trips, self._all = arrive, 0, replies

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        messages = list(messages)
        step = envelope_of(messages[0].content).step
        self._round_trips += step > 0
        if self._round_trips < 2:
            keys = list(super().push_messages(messages))
        else:
            keys = list(super().push_messages(messages[: self._arrive % (len(messages) + 1)]))
        for key, message in zip(keys, messages, strict=False):
            about, reply = envelope_of(message.content), self._replies[key].content
            if about.step:
                self._all[message.metadata.dst_node_id, about.study, about.model, about.step].add(
                    digest_of(reply)
                )
                assert refusal_in(reply) is None
        if self._round_trips == 2:
            raise Died
        return keys


def often_dying(config: RunConfig, start: object) -> tuple[object, int, defaultdict[tuple, set[bytes]]]:
    """What came of a run whose coordinator got one round trip further in every life, and how often it died."""
    replies: defaultdict[tuple, set[bytes]] = defaultdict(set)
    for deaths in range(500):
        with suppress(Died):
            return start(DyingGrid(config, deaths, replies), config, ignore), deaths, replies
    raise AssertionError("it never came to its end")


@pytest.fixture
def config(tables: Path, tmp_path: Path) -> TrainingConfig:
    config = TrainingConfig(
        data=str(tables),
        parties=("bank", "tax", "supply"),
        state=str(tmp_path / "state"),
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        journal=str(tmp_path / "journal"),
        study="s",
        contenders=ALL,
    )
    for section in (
        NetworkConfig(batches=3, batch_size=64, evaluate_every=1, defence="none"),
        BoostingConfig(trees=2, depth=2, min_leaf_count=10, parallel=1, encryption="plain"),
        ScorecardConfig(bins=5, min_group=5, max_p=1.0, exchanges=2, encryption="plain"),
    ):
        config = config.with_section(section)
    return config


def undisturbed(config: TrainingConfig) -> tuple[TrainingConfig, list[Trained]]:
    """The same run, with a state and a store of its own, without a journal."""
    folder = Path(config.state).with_name("undisturbed")
    other = replace(
        config, state=str(folder), journal="", tracking_uri=f"sqlite:///{folder}.db", study="calm"
    )
    return other, coordinate(InlineGrid(other), other, ignore)


@pytest.mark.slow
def test_a_coordinator_that_dies_at_every_step_makes_the_same_models(config: TrainingConfig) -> None:
    trained, deaths, replies = often_dying(config, coordinate)
    calm, expected = undisturbed(config)

    assert deaths > 40
    assert {len(of_step) for of_step in replies.values()} == {1}  # a party never answers a step in two ways
    for one, other in zip(trained, expected, strict=True):
        assert one.contender == other.contender
        np.testing.assert_array_equal(
            read_scores(config, "bank", one.contender, 1).log_odds,
            read_scores(calm, "bank", one.contender, 1).log_odds,
        )
        assert one.evaluation.metrics == other.evaluation.metrics
        assert one.costs.round_trips == other.costs.round_trips
    logged, calmly = of_store(config), of_store(calm)
    assert logged == calmly
    assert not Path(config.journal, "s").exists()


def of_store(config: TrainingConfig) -> list[tuple]:
    """The runs of a store: contender, status, the steps of every metric, the number of lines, model versions."""
    client = MlflowClient(config.tracking_uri)
    runs = client.search_runs([client.get_experiment_by_name("siloscore").experiment_id])
    versions = client.search_model_versions()
    return sorted(
        (
            run.data.tags.get("contender", ""),
            run.info.status,
            {
                name: [point.step for point in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            },
            len(run.data.tags["mlflow.note.content"].split("\n\n")),
            sum(version.run_id == run.info.run_id for version in versions),
        )
        for run in runs
    )


def test_a_scoring_run_that_dies_at_every_step_gives_the_same_answers(
    config: TrainingConfig, tables: Path, tmp_path: Path
) -> None:
    config = replace(config, contenders=("federated-scorecard",), journal="")
    (trained,) = coordinate(InlineGrid(config), config, ignore)
    applicants = tmp_path / "applicants.csv"
    lines = (tables / "bank" / "table.csv").read_text("utf-8").splitlines()
    applicants.write_text("\n".join(line.partition(",")[0] for line in lines[:30]) + "\n", "utf-8")
    scoring = ScoringConfig(
        **{name: getattr(config, name) for name in ("data", "parties", "state", "tracking_uri", "sections")},
        model="s/federated-scorecard/1",
        model_run=trained.run_id,
        applicants=str(applicants),
        study="calm",
    )
    expected = score(InlineGrid(scoring), scoring, ignore)
    often = replace(scoring, study="often", journal=str(tmp_path / "journal"))

    found, deaths, replies = often_dying(often, score)

    assert isinstance(found, Scoring)
    assert deaths > 5
    assert {len(of_step) for of_step in replies.values()} == {1}
    assert (found.answered, found.absent) == (expected.answered, expected.absent)
    assert read_answers(often, tables / "bank").frame().equals(read_answers(scoring, tables / "bank").frame())


def broken_off(config: TrainingConfig) -> Path:
    """The journal of a run whose coordinator has died ten times."""
    for deaths in range(10):
        with suppress(Died):
            coordinate(DyingGrid(config, deaths, defaultdict(set)), config, ignore)
    return Path(config.journal, "s")


def test_a_journal_is_for_its_owner_alone_and_for_one_coordinator(config: TrainingConfig) -> None:
    folder = broken_off(config)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    other = Journal(config.journal, "s", 5)
    with pytest.raises(ConfigError, match="The study s is still going on"):
        coordinate(InlineGrid(config), config, ignore)
    other.close()


def test_the_end_of_a_journal_may_be_torn_and_nothing_else_of_it(config: TrainingConfig) -> None:
    config = replace(config, contenders=("federated-scorecard",))
    file = broken_off(config) / "federated-scorecard.1.journal"
    content = file.read_bytes()
    file.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    with pytest.raises(
        FederationError, match=r"scorecard\.1\.journal is damaged; the study cannot be resumed"
    ):
        coordinate(InlineGrid(config), config, ignore)
    # As if the coordinator had died while it wrote its last reply.
    file.write_bytes(content[:-1])
    coordinate(InlineGrid(config), config, ignore)
    calm, _ = undisturbed(config)
    np.testing.assert_array_equal(
        read_scores(config, "bank", "federated-scorecard", 1).log_odds,
        read_scores(calm, "bank", "federated-scorecard", 1).log_odds,
    )


def test_a_run_is_resumed_by_its_own_settings_but_for_those_of_the_coordinator(
    config: TrainingConfig, tmp_path: Path
) -> None:
    config = replace(config, contenders=("federated-scorecard",))
    broken_off(config)
    other = replace(config, seeds=(1,), keep_studies=6)
    with pytest.raises(FederationError, match="the settings of this run have changed since step"):
        coordinate(InlineGrid(other), other, ignore)
    patient = replace(config, party_timeout=9.0, progress=str(tmp_path / "p.jsonl"))
    assert len(coordinate(InlineGrid(patient), patient, ignore)) == 1


class DamagingGrid(InlineGrid):
    """A grid on which something fails once, at the second step of the scorecard at the second party."""

    def __init__(self, config: RunConfig, failure: str) -> None:
        super().__init__(config)
        self._failure = failure

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return [self._sent(message) for message in messages]

    def _sent(self, message: Message) -> str:
        about = envelope_of(message.content)
        is_meant = (about.model, about.step, message.metadata.dst_node_id) == ("federated-scorecard/1", 2, 3)
        failure = self._failure if is_meant else ""
        if failure == "message":
            truncate(message)
        with full_disk(2000) if failure == "disk" else nullcontext():
            (key,) = super().push_messages([message])
        if failure == "reply":
            truncate(self._replies[key])
        return key


def truncate(message: Message) -> None:
    (name,) = [name for name, record in message.content.config_records.items() if "body" in record]
    head = message.content.config_records[name]
    head["body"] = head["body"][:-1]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("message", r"Party tax refused train.scorecard_count: a CountRequest is not of its declared form"),
        (
            "reply",
            r"The reply of party tax to train.scorecard_count is malformed: a \w+ is not of its declared form",
        ),
        (
            "disk",
            r"Party tax refused train.scorecard_count: its disk is full; its people must make room there\. `siloscore",
        ),
    ],
)
def test_a_failure_at_a_party_is_told_and_the_run_goes_on_afterwards(
    failure: str, told: str, config: TrainingConfig
) -> None:
    config = replace(config, contenders=("federated-scorecard",))
    with pytest.raises(FederationError, match=told):
        coordinate(DamagingGrid(config, failure), config, ignore)
    assert not list(Path(config.state).rglob("*.partial"))

    coordinate(InlineGrid(config), config, ignore)

    calm, _ = undisturbed(config)
    np.testing.assert_array_equal(
        read_scores(config, "bank", "federated-scorecard", 1).log_odds,
        read_scores(calm, "bank", "federated-scorecard", 1).log_odds,
    )


def test_of_studies_that_broke_off_the_last_ones_have_a_journal(tmp_path: Path) -> None:
    for number in range(5):
        Journal(str(tmp_path), f"s{number}", 2).close()
    assert len(list(tmp_path.iterdir())) == 3
    Journal("", "s", 0).add("m", Died)
