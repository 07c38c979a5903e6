"""From a dataset and settings to a study that can be run: the same for the command line and for a notebook."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from clients.data.errors import warn_once
from experiments.dataset import Dataset, open_dataset, undeclared
from experiments.outputs import check_store
from fl.config.checks import Scalar
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from server.coordinator import new_study_name


def open_study(
    data: Path,
    settings: Mapping[str, Scalar] = MappingProxyType({}),
    parties: tuple[str, ...] = (),
    test_ids: Path | None = None,
    warn: Callable[[str], object] = warn_once,
) -> tuple[Dataset, TrainingConfig]:
    """Open and check a dataset, and make the configuration of a new study on it.

    settings are those of `fl.config.run.TrainingConfig` by their names in pyproject.toml, such as `"seeds": "1,2"` and
    `"boosting.trees": 40`; parties are folders of the dataset, by default all; the file of test ids has one per line.

    `warn` is called with a sentence on a folder that looks like a party and is none, and on simulated files that have
    changed. Raises ConfigError for a file of test ids that does not exist and for an unknown setting or party, and
    DataError for data that are not in order.
    """
    if test_ids and not test_ids.is_file():
        raise ConfigError(f"There is no file of test ids {test_ids}.")
    dataset = open_dataset(data, parties)
    doubts = [] if parties else undeclared(dataset.folder)
    if changed := dataset.facts.changed:
        doubts.append(
            f"{', '.join(changed)} changed after the economy was simulated, so the figures are not those of its seed. "
            "If you did not mean that, simulate it anew."
        )
    for doubt in doubts:
        warn(doubt)
    config = TrainingConfig.from_mapping(settings)
    return dataset, replace(
        config,
        data=str(dataset.folder),
        parties=dataset.parties,
        test_ids=str(test_ids.resolve()) if test_ids else config.test_ids,
        study=new_study_name(str(dataset.folder)),
    )


def logged(
    config: TrainingConfig, dataset: Dataset, store: Path, experiment: str = "siloscore"
) -> TrainingConfig:
    """The same run, logged to an experiment in an MLflow store of this machine.

    The store is a file, which need not exist yet. Raises ConfigError when MLflow cannot keep its runs there.
    """
    check_store(store)
    return replace(
        config, world=dataset.world, experiment=experiment, tracking_uri=f"sqlite:///{store.resolve()}"
    )
