"""Small recorded forests: real runs of a bank and one or two passive parties on 400 businesses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.attacks.boosting.recording import Recording
from experiments.dataset import open_dataset
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from server.progress import ignore


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks that know some labels are repeated less often."""
    monkeypatch.setattr("experiments.attacks.labels.DRAWS", 4)


@pytest.fixture(scope="session")
def configured(make_tables: Callable[..., Path]) -> Callable[..., TrainingConfig]:
    """The configuration of a small forest on tables of a bank and these passive parties."""
    made: dict[tuple[str, ...], Path] = {}

    def configure(passive: tuple[str, ...] = ("tax",), **boosting: object) -> TrainingConfig:
        if passive not in made:
            made[passive] = make_tables(passive)
        small = {"trees": 3, "depth": 3, "min_leaf_count": 10, "l2": 1.0, "bins": 8}
        small |= {"parallel": 1, "row_share": 1.0, "column_share": 1.0, "learning_rate": 0.25}
        config = TrainingConfig(
            data=str(made[passive]), parties=open_dataset(made[passive]).parties, study="attack"
        )
        return config.with_section(BoostingConfig(**small | boosting))

    return configure


@pytest.fixture(scope="session")
def recorded(configured: Callable[..., TrainingConfig]) -> Callable[..., Recording]:
    """The recording of a small forest; the same settings are run once."""
    made: dict[str, Recording] = {}

    def run(passive: tuple[str, ...] = ("tax",), **boosting: object) -> Recording:
        key = repr((passive, sorted(boosting.items())))
        if key not in made:
            config = configured(passive, **boosting)
            (made[key],) = Recording.of_runs(config, ignore, {"one": config.section(BoostingConfig)})
        return made[key]

    return run
