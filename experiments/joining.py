"""A bank that joins others takes the models that they have trained: a study of its own, in which nobody trains these.

It compares these models, on the newcomer's test rows, with what the newcomer reaches alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from clients.data.declaration import read_declaration
from experiments.configuration import open_study
from experiments.dataset import Dataset, label_holders
from fl.config.checks import Scalar
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.protocols import HORIZONTAL, federated_contenders
from server.tracking.registry import find_training

_RECALIBRATE = "banks.recalibrate"
_ALONE, _TOGETHER = "bank-only-", "banks-"


def open_join(
    uri: str,
    study: str,
    data: Path,
    bank: str,
    seeds: str = "1",
    test_ids: Path | None = None,
    settings: Mapping[str, Scalar] = MappingProxyType({}),
    contenders: tuple[str, ...] = (),
    parties: tuple[str, ...] = (),
) -> tuple[Dataset, TrainingConfig]:
    """The dataset and the configuration of a study in which the bank of a folder takes the models of another one.

    study is the one that has trained them, by its name in the MLflow store `uri`. Settings of the models are those of
    their training; seeds, test_ids and settings say the rest. contenders are by default all models that can be handed
    over, each beside that of the bank alone. parties are folders of banks that have the models, by default those of
    the training: the first one hands them over. Raises ConfigError for what is none of this, and DataError for data
    that are not in order.
    """
    if not (study and bank):
        raise ConfigError("Name the study by --join, and by --bank the folder of the bank that joins.")
    trained = find_training(uri, study)
    if others := [name for name in settings if "." in name and name != _RECALIBRATE]:
        raise ConfigError(f"Setting {others[0]!r} is that of the training of {study}; leave it out.")
    models = [name for name in trained.contenders if _is_of_banks_alone(name)]
    contenders = contenders or (*(name.replace(_TOGETHER, _ALONE) for name in models), *models)
    for name in contenders:
        if name not in models and not name.startswith(_ALONE):
            raise ConfigError(
                f"{study} has no model {name} that could be handed over; it has {', '.join(models) or 'none'}. For any "
                f"other model train anew with {bank}, by siloscore compare with all banks."
            )
    givers = [name for name in label_holders(data, parties or trained.parties) if name != bank]
    if not givers:
        raise ConfigError(f"By --parties, name another bank than {bank}, which hands the models over.")
    kept = {
        name: value
        for name, value in trained.to_mapping().items()
        if name.partition(".")[0] in trained.sections
    }
    dataset, config = open_study(data, {**kept, **settings, "seeds": seeds}, (bank, givers[0]), test_ids)
    declared = read_declaration(dataset.folder / bank)
    return dataset, replace(
        config, contenders=contenders, state=trained.state, joins=trained.study, newcomer=declared.name
    )


def _is_of_banks_alone(contender: str) -> bool:
    conversation = federated_contenders().get(contender)
    return conversation is not None and HORIZONTAL in conversation.layouts
