"""One frozen, validated configuration object per run.

Flower hands every app a flat mapping such as `{"seeds": "1,2", "network.batch-size": 2048}`. Here it becomes
`RunConfig`, whose fields have the same names with underscores; an unknown key is an error that suggests the
nearest one. The defaults stand again in `[tool.flwr.app.config]` of pyproject.toml, because Flower only lets
a run override keys that it finds there; a test keeps the two equal.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeAlias

from fl.config.boosting import BoostingConfig
from fl.config.checks import positive, require, setting_name
from fl.config.network import NetworkConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError

__all__ = ["BoostingConfig", "NetworkConfig", "RunConfig", "Scalar", "ScorecardConfig"]

Scalar: TypeAlias = bool | int | float | str

_Section: TypeAlias = NetworkConfig | BoostingConfig | ScorecardConfig
_SECTIONS = {"network": NetworkConfig, "boosting": BoostingConfig, "scorecard": ScorecardConfig}

_ELSEWHERE = ", since Flower runs the apps in another folder"


@dataclass(frozen=True)
class RunConfig:
    """Settings of one run of the federation; those of a protocol stand in its section (`BoostingConfig` and others).

    data               folder of the dataset; absolute, because Flower runs the apps from a copy elsewhere; empty
                       in a deployment, where every party knows its own folder
    parties            names of the party folders in it, comma-separated; partition k is the k-th
    contenders         federated contenders to train in turn, comma-separated; empty: the parties only align
    seeds              training seeds, comma-separated
    alignment          `left` (every business of the bank's) or `inner` (businesses known to all)
    test_ids           file with the ids of a fixed test set; empty: the active party splits
    test_share         share of the rows for the test set: the last vintages, or a stratified sample
    validation_share   share of the rows for validation, likewise
    study              name under which the parties keep what this run trains, and of the MLflow run; a name is
                       good for one run; empty: the coordinator makes one up
    state              folder for the parties' state; empty: `state/` within each party's folder
    keep_studies       studies a party keeps in its state; older ones are removed when a new one starts
    tracking_uri       MLflow store; empty: `mlflow.db` in the folder of the dataset
    experiment         MLflow experiment
    parent_run         MLflow run under which to log; empty: the coordinator opens one
    world              name of the synthetic world, for the MLflow tag
    model              the trained model that scores `applicants`, as STUDY/CONTENDER/SEED; empty: the run trains
    model_run          MLflow run of its training
    model_data         folder of the dataset on which it was trained, where the parties keep it; empty: `data`
    applicants         file with the applicants to score, at the bank
    register           register trained contenders as MLflow model versions
    progress           file to which progress is appended as JSON lines; empty: none
    timeout            seconds to wait for the answers of one round trip
    connect_timeout    seconds to wait for the parties to connect
    """

    data: str = ""
    parties: str = "bank,tax,supply_chain"
    contenders: str = "federated-network"
    seeds: str = "1"
    alignment: str = "left"
    test_ids: str = ""
    test_share: float = 0.25
    validation_share: float = 0.15
    study: str = ""
    state: str = ""
    keep_studies: int = 5
    tracking_uri: str = ""
    experiment: str = "siloscore"
    parent_run: str = ""
    world: str = ""
    model: str = ""
    model_run: str = ""
    model_data: str = ""
    applicants: str = ""
    register: bool = True
    progress: str = ""
    timeout: float = 600.0
    connect_timeout: float = 60.0
    network: NetworkConfig = field(default_factory=NetworkConfig)
    boosting: BoostingConfig = field(default_factory=BoostingConfig)
    scorecard: ScorecardConfig = field(default_factory=ScorecardConfig)

    def __post_init__(self) -> None:
        require(self.alignment in ("left", "inner"), "alignment", "left or inner", self.alignment)
        require(0 < self.test_share < 1, "test-share", "between 0 and 1", self.test_share)
        require(0 < self.validation_share < 1, "validation-share", "between 0 and 1", self.validation_share)
        require(
            self.test_share + self.validation_share < 1,
            "test-share",
            f"below 1 together with the validation-share of {self.validation_share:g}",
            self.test_share,
        )
        for name in ("test_ids", "state", "model_data", "applicants", "progress"):
            path = getattr(self, name)
            require(
                not path or Path(path).is_absolute(),
                setting_name(name),
                f"an absolute path{_ELSEWHERE}",
                path,
            )
        # The parties make a folder of it.
        require(
            re.fullmatch(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,99})?", self.study) is not None,
            "study",
            "of up to 100 letters, digits, '_', '.' and '-'",
            self.study,
        )
        named = re.fullmatch(r"([\w.-]+/[\w.-]+/[0-9]+)?", self.model)
        require(named is not None, "model", "STUDY/CONTENDER/SEED", self.model)
        require(
            bool(self.model) == bool(self.applicants),
            "applicants",
            "a file with a model, and none without",
            self.applicants,
        )
        require(self.keep_studies >= 1, "keep-studies", "1 or more", self.keep_studies)
        require(positive(self.timeout), "timeout", "positive", self.timeout)
        require(positive(self.connect_timeout), "connect-timeout", "positive", self.connect_timeout)
        names = self.party_names
        require(len(names) == len(set(names)) >= 1, "parties", "distinct names", self.parties)
        contenders = self.contender_names
        require(len(contenders) == len(set(contenders)), "contenders", "distinct names", self.contenders)
        seeds = self.seed_numbers
        allowed = len(seeds) == len(set(seeds)) >= 1 and all(0 <= seed < 2**32 for seed in seeds)
        require(allowed, "seeds", "distinct whole numbers from 0 to 4294967295", self.seeds)

    @property
    def data_folder(self) -> Path:
        """The folder of the dataset. ConfigError when it is not named, or relative."""
        known = Path(self.data).is_absolute()
        require(known, "data", f"the absolute path of a dataset{_ELSEWHERE}", self.data)
        return Path(self.data)

    @property
    def party_names(self) -> tuple[str, ...]:
        """The party folders in the order of Flower's partitions."""
        return _words(self.parties)

    @property
    def model_parts(self) -> tuple[str, str, int]:
        """Study, contender and seed of `model`."""
        study, contender, seed = self.model.split("/")
        return study, contender, int(seed)

    @property
    def contender_names(self) -> tuple[str, ...]:
        """The federated contenders in the order of training."""
        return _words(self.contenders)

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        """The training seeds in the order of training."""
        try:
            return tuple(int(word) for word in _words(self.seeds))
        except ValueError:
            raise ConfigError(
                f"Setting 'seeds' must be whole numbers with commas, not {self.seeds!r}."
            ) from None

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Scalar]) -> Self:
        """Build from flat keys such as `network.batch-size`.

        Raises ConfigError for an unknown key (with the nearest known one), a value of the wrong type or one
        out of range.
        """
        known = dict(_defaults(cls()))
        for key in settings:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f" Did you mean {near[0]!r}?" if near else f" Known settings: {', '.join(known)}."
                raise ConfigError(f"There is no setting {key!r}.{hint}")
        values: dict[str, dict[str, Any]] = {"": {}, **{name: {} for name in _SECTIONS}}
        for key, value in settings.items():
            section, _, name = key.rpartition(".")
            values[section][name.replace("-", "_")] = _like(key, value, known[key])
        sections: dict[str, Any] = {name: kind(**values[name]) for name, kind in _SECTIONS.items()}
        return cls(**sections, **values[""])

    @classmethod
    def from_texts(cls, settings: Mapping[str, str]) -> Self:
        """Build from `to_mapping` written as texts, as MLflow keeps it; other keys are left out."""
        known = dict(_defaults(cls()))
        kept = {key: text for key, text in settings.items() if key in known}
        return cls.from_mapping({key: _read(text, known[key]) for key, text in kept.items()})

    def to_mapping(self) -> dict[str, Scalar]:
        """The flat form that `from_mapping` reads; every key, defaults too."""
        return dict(_defaults(self))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _defaults(config: RunConfig | _Section, section: str = "") -> Iterator[tuple[str, Scalar]]:
    for item in fields(config):
        value = getattr(config, item.name)
        if item.name in _SECTIONS:
            yield from _defaults(value, f"{setting_name(item.name)}.")
        else:
            yield section + setting_name(item.name), value


def _read(text: str, default: Scalar) -> Scalar:
    """What `str` wrote, as the type of `default`."""
    return text == "True" if isinstance(default, bool) else type(default)(text)


def _like(key: str, value: Scalar, default: Scalar) -> Scalar:
    """`value` as the type of `default`: whole numbers pass as floats, nothing else is converted."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[type(default)]
        raise ConfigError(f"Setting {key!r} must be {kind}, not {value!r}.")
    return value
