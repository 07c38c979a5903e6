"""A protocol of another distribution: its messages, its settings, its two halves, and one line in the list."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

from experiments.backends.inline import InlineGrid
from experiments.joined import read_joined, read_roles, read_scores
from fl import protocols
from fl.config.run import TrainingConfig, app_defaults
from fl.errors import ConfigError
from fl.protocols import Conversation
from fl.splits import TEST, TRAIN
from server.coordinator import coordinate
from server.progress import Progress
from tests.toy.messages import ToyConfig

TOY = Conversation(
    name="toy",
    version=1,
    settings=ToyConfig,
    contenders=("federated-toy",),
    package="tests.toy",
)


@pytest.fixture
def with_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "CONVERSATIONS", (*protocols.CONVERSATIONS, TOY))


def settings(data: Path, folder: Path, parties: str) -> dict:
    return {
        "data": str(data),
        "parties": parties,
        "contenders": "federated-toy",
        "state": str(folder / "state"),
        "study": "s",
        "tracking-uri": f"sqlite:///{folder}/mlflow.db",
        "toy.steps": 30,
        "boosting.trees": 4,
    }


@pytest.mark.usefixtures("quick_tracking", "with_toy")
@pytest.mark.parametrize(("passive", "round_trips"), [(("tax", "supply"), 3), ((), 2)])
def test_a_protocol_that_is_listed_trains_and_its_run_is_logged(
    make_tables: Callable[..., Path], tmp_path: Path, passive: tuple[str, ...], round_trips: int
) -> None:
    data = make_tables(passive)
    config = TrainingConfig.from_mapping(settings(data, tmp_path, ",".join(("bank", *passive))))
    assert config.section(ToyConfig) == ToyConfig(steps=30)
    events: list[Progress] = []

    (trained,) = coordinate(InlineGrid(config), config, events.append)

    assert (trained.contender, trained.costs.round_trips) == ("federated-toy", round_trips)
    assert events[-1] == Progress("done")
    client = MlflowClient(config.tracking_uri)
    experiment = client.get_experiment_by_name(config.experiment)
    (run,) = client.search_runs([experiment.experiment_id], "tags.contender = 'federated-toy'")
    assert run.info.status == "FINISHED"
    assert run.data.params["toy.steps"] == "30"
    assert run.data.metrics["auc"] == pytest.approx(trained.evaluation.metrics["auc"], abs=1e-3)
    assert run.data.metrics["auc"] > 0.6

    # The same score, fitted on the joined table.
    joined, roles = read_joined(config, "bank"), read_roles(config, "bank", 1)
    columns = np.stack([table.numeric[:, 0] for table in joined.tables.values()])
    of_training = columns[:, roles == TRAIN]
    mean, deviation = (measure(of_training, axis=1)[:, None] for measure in (np.nanmean, np.nanstd))
    total = np.nan_to_num((columns - mean) / deviation).sum(axis=0)[:, None]
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(total[roles == TRAIN], joined.labels[roles == TRAIN])
    known = ~joined.unknown if passive else np.ones(len(roles), bool)
    log_odds = read_scores(config, "bank", "federated-toy", 1).log_odds
    np.testing.assert_allclose(log_odds[known], fitted.decision_function(total)[known], rtol=1e-4, atol=1e-5)
    assert (roles[known] == TEST).any()


@pytest.mark.usefixtures("with_toy")
def test_its_settings_are_settings_like_any_other() -> None:
    assert app_defaults()["toy.steps"] == 20
    with pytest.raises(ConfigError, match=r"'toy\.steps' must be 1 or more, not 0"):
        TrainingConfig.from_mapping({"toy.steps": 0})
    with pytest.raises(ConfigError, match=r"no setting 'toy\.step'\. Did you mean 'toy\.steps'"):
        TrainingConfig.from_mapping({"toy.step": 1})


def test_without_the_line_in_the_list_there_is_no_such_protocol() -> None:
    with pytest.raises(ConfigError, match=r"no setting 'toy\.steps'"):
        TrainingConfig.from_mapping({"toy.steps": 1})
    with pytest.raises(ConfigError, match="no federated contender 'federated-toy'"):
        protocols.conversation_of("federated-toy")
