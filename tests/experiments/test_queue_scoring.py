"""The coordinator's loop over the bank's queue."""

from pathlib import Path

import pytest

from experiments import queue_scoring
from experiments.backends.flower import RunFederation
from experiments.queue_scoring import score_queue, seconds_of
from fl.config.run import RunConfig, TrainingConfig
from fl.errors import ConfigError
from server.exchange import FederationError
from server.progress import Progress, Report
from server.tracking.registry import TrainedModel


@pytest.mark.parametrize("text", ["", "s", "60", "0s", "-5m", "nans", "infh", "1 minute"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 60s"):
        seconds_of(text)


def test_every_interval_has_a_run_of_its_own_and_one_that_fails_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tables: Path
) -> None:
    configs: list[RunConfig] = []
    outcomes = iter(
        ["12 applicants scored by federated-boosting", "", FederationError("Party tax was away.")]
    )

    def run_federation(config: RunConfig, report: Report) -> None:
        configs.append(config)
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        report(Progress("done", text=outcome))

    class Opened:
        def __enter__(self) -> RunFederation:
            return run_federation

        def __exit__(self, *_: object) -> None: ...

    training = TrainingConfig(data=str(tables), parties=("bank", "tax"), study="s")
    model = TrainedModel("0123", "federated-boosting", 1, training)
    monkeypatch.setattr(queue_scoring, "find_model", lambda uri, run: model)
    monkeypatch.setattr(queue_scoring, "open_backend", lambda name, parties: Opened())
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(queue_scoring.time, "sleep", sleep)
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        score_queue("sqlite://", "s/federated-boosting/1", 60, None, (), "inline", told.append)

    assert [line.split(" ", 2)[2] for line in told] == [
        "12 applicants scored by federated-boosting",
        "Party tax was away.",
    ]
    assert all(59 < nap <= 60 for nap in naps)
    assert len({config.study for config in configs}) == 3
    assert all(config.to_mapping()["queued"] for config in configs)
