"""One frozen, validated configuration per run, of one of two kinds: a run trains models, or scores applicants by one.

Flower hands every app a flat mapping such as `{"task": "training", "seeds": "1,2", "network.batch-size": 2048}`.
`read_config` makes it a `TrainingConfig` or a `ScoringConfig`, whose fields have the same names with underscores; an
unknown key is an error that suggests the nearest one. Lists are texts with commas at Flower's border only. A protocol's
settings are the section of its name. The defaults of both kinds stand again in `[tool.flwr.app.config]` of
pyproject.toml, because Flower lets a run override no other keys; `python -m experiments.app_config` writes them there.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias, TypeVar

from fl import protocols
from fl.config.checks import positive, require, setting_name
from fl.errors import ConfigError

Scalar: TypeAlias = bool | int | float | str
Section = TypeVar("Section")

_ELSEWHERE = ", since Flower runs the apps in another folder"


def sections() -> dict[str, Any]:
    """The default settings of every protocol that has some, by the name of its section."""
    return {c.name: c.settings() for c in protocols.CONVERSATIONS if c.settings is not None}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What the settings of both kinds of run have in common.

    data             folder of the dataset; absolute, because Flower runs the apps from a copy elsewhere; empty in a
                     deployment, where every party knows its own folder
    parties          names of the parties' folders in it; partition k is the k-th; in a deployment as many as take part
    study            name under which the parties keep what this run makes, and of the MLflow run; a name is good for
                     one run; empty: the coordinator makes one up
    state            folder for the parties' state; empty: `state/` within each party's folder
    keep_studies     studies a party keeps in its state; older ones are removed when a new one starts
    tracking_uri     MLflow store; empty: `mlflow.db` in the folder of the dataset
    experiment       MLflow experiment
    progress         file to which progress is appended as JSON lines; empty: none
    timeout          seconds to wait for the answers of one round trip
    connect_timeout  seconds to wait for the parties to connect
    sections         the settings of each protocol, by name
    """

    task: ClassVar[str]

    data: str = ""
    parties: tuple[str, ...] = ()
    study: str = ""
    state: str = ""
    keep_studies: int = 5
    tracking_uri: str = ""
    experiment: str = "siloscore"
    progress: str = ""
    timeout: float = 600.0
    connect_timeout: float = 60.0
    sections: Mapping[str, Any] = field(default_factory=sections)

    def __post_init__(self) -> None:
        _require_absolute(self, "state", "progress")
        # The parties make a folder of it.
        require(
            re.fullmatch(r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,99})?", self.study) is not None,
            "study",
            "of up to 100 letters, digits, '_', '.' and '-'",
            self.study,
        )
        require(self.keep_studies >= 1, "keep-studies", "1 or more", self.keep_studies)
        require(positive(self.timeout), "timeout", "positive", self.timeout)
        require(positive(self.connect_timeout), "connect-timeout", "positive", self.connect_timeout)
        require(_distinct(self.parties), "parties", "distinct names", ",".join(self.parties))

    def require_parties(self) -> tuple[str, ...]:
        """The parties. ConfigError when none is named."""
        require(bool(self.parties), "parties", "the names of those that take part", "")
        return self.parties

    @property
    def data_folder(self) -> Path:
        """The folder of the dataset. ConfigError when it is not named, or relative."""
        known = Path(self.data).is_absolute()
        require(known, "data", f"the absolute path of a dataset{_ELSEWHERE}", self.data)
        return Path(self.data)

    def section(self, kind: type[Section]) -> Section:
        """The settings of a protocol, by their class. ConfigError when no protocol has such settings."""
        for section in self.sections.values():
            if type(section) is kind:
                return section
        raise ConfigError(f"There are no settings of the kind {kind.__name__}.")

    def with_section(self, section: object) -> Self:
        """The same run with other settings of one protocol. ConfigError when no protocol has such settings."""
        self.section(type(section))
        name = next(name for name, other in self.sections.items() if type(other) is type(section))
        return replace(self, sections={**self.sections, name: section})

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Scalar]) -> Self:
        """Build from flat keys such as `network.batch-size`; lists are texts with commas.

        Raises ConfigError for an unknown key (with the nearest known one), a value of the wrong type or one out of
        range.
        """
        known = _flat(cls())
        values: dict[str, dict[str, Any]] = {"": {}, **{name: {} for name in sections()}}
        for key, value in settings.items():
            if key not in known:
                raise _unknown(key, known)
            section, _, name = key.rpartition(".")
            values[section][name.replace("-", "_")] = _like(key, value, known[key])
        own = values.pop("")
        return cls(
            **own, sections={name: replace(sections()[name], **changed) for name, changed in values.items()}
        )

    def to_mapping(self) -> dict[str, Scalar]:
        """The flat form that `read_config` reads; every key, defaults too."""
        return {"task": self.task, **{key: _written(value) for key, value in _flat(self).items()}}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(RunConfig):
    """Settings of a run that trains.

    contenders        federated contenders to train in turn; none: the parties only align
    seeds             training seeds
    alignment         `left` (every business of the label holder's) or `inner` (businesses known to all)
    test_ids          file with the ids of a fixed test set; empty: the label holder splits
    test_share        share of the rows for the test set: the last vintages, or a stratified sample
    validation_share  share of the rows for validation, likewise
    parent_run        MLflow run under which to log; empty: the coordinator opens one
    world             name of the synthetic world, for the MLflow tag
    register          register trained contenders as MLflow model versions
    """

    task: ClassVar[str] = "training"

    contenders: tuple[str, ...] = ("federated-network",)
    seeds: tuple[int, ...] = (1,)
    alignment: str = "left"
    test_ids: str = ""
    test_share: float = 0.25
    validation_share: float = 0.15
    parent_run: str = ""
    world: str = ""
    register: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_absolute(self, "test_ids")
        require(self.alignment in ("left", "inner"), "alignment", "left or inner", self.alignment)
        require(0 < self.test_share < 1, "test-share", "between 0 and 1", self.test_share)
        require(0 < self.validation_share < 1, "validation-share", "between 0 and 1", self.validation_share)
        require(
            self.test_share + self.validation_share < 1,
            "test-share",
            f"below 1 together with the validation-share of {self.validation_share:g}",
            self.test_share,
        )
        require(_distinct(self.contenders), "contenders", "distinct names", ",".join(self.contenders))
        allowed = bool(self.seeds) and _distinct(self.seeds) and all(0 <= seed < 2**32 for seed in self.seeds)
        require(allowed, "seeds", "distinct whole numbers from 0 to 4294967295", _written(self.seeds))


@dataclass(frozen=True, kw_only=True)
class ScoringConfig(RunConfig):
    """Settings of a run that scores applicants by a model that was trained before.

    model       the trained model, as STUDY/CONTENDER/SEED
    model_run   MLflow run of its training; empty: none
    model_data  folder of the dataset on which it was trained, where the parties keep it; empty: `data`
    applicants  file with the applicants, at the label holder
    """

    task: ClassVar[str] = "scoring"

    model: str = ""
    model_run: str = ""
    model_data: str = ""
    applicants: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_absolute(self, "model_data", "applicants")

    @property
    def model_parts(self) -> tuple[str, str, int]:
        """Study, contender and seed of `model`. ConfigError when it does not name all three."""
        named = re.fullmatch(r"[\w.-]+/[\w.-]+/[0-9]+", self.model)
        require(named is not None, "model", "STUDY/CONTENDER/SEED", self.model)
        require(bool(self.applicants), "applicants", "a file of applicants", self.applicants)
        study, contender, seed = self.model.split("/")
        return study, contender, int(seed)


_KINDS: dict[str, type[TrainingConfig] | type[ScoringConfig]] = {
    kind.task: kind for kind in (TrainingConfig, ScoringConfig)
}


def read_config(settings: Mapping[str, Scalar]) -> TrainingConfig | ScoringConfig:
    """The configuration of the kind that the key `task` names, `training` if there is none.

    Flower passes every key of pyproject.toml, so those of the other kind may be there at their defaults. Raises
    ConfigError as `RunConfig.from_mapping` does, and for a setting that the other kind of run has.
    """
    task = settings.get("task", TrainingConfig.task)
    require(task in _KINDS, "task", " or ".join(_KINDS), task)
    kind, every = _KINDS[str(task)], app_defaults()
    own = kind().to_mapping()
    for key, value in settings.items():
        if key in every and key not in own and value != every[key]:
            raise ConfigError(f"Setting {key!r} is not one of a run with the task {task}.")
    return kind.from_mapping(
        {k: v for k, v in settings.items() if k != "task" and (k in own or k not in every)}
    )


def app_defaults() -> dict[str, Scalar]:
    """Every setting of either kind of run, flat and at its default: what pyproject.toml tells Flower."""
    both = [kind().to_mapping() for kind in _KINDS.values()]
    flat = {key: value for mapping in reversed(both) for key, value in mapping.items()}
    return {key: flat[key] for key in sorted(flat, key=lambda key: "." in key)}


def _distinct(values: tuple[Any, ...]) -> bool:
    return len(values) == len(set(values))


def _require_absolute(config: RunConfig, *names: str) -> None:
    for name in names:
        path = getattr(config, name)
        absolute = not path or Path(path).is_absolute()
        require(absolute, setting_name(name), f"an absolute path{_ELSEWHERE}", path)


def _flat(config: RunConfig) -> dict[str, Any]:
    """Setting -> value, those of the sections as `section.name`."""
    return dict(_pairs(config)) | {
        f"{name}.{key}": value for name, section in config.sections.items() for key, value in _pairs(section)
    }


def _pairs(config: Any) -> Iterator[tuple[str, Any]]:
    return ((setting_name(f.name), getattr(config, f.name)) for f in fields(config) if f.name != "sections")


def _unknown(key: str, known: Mapping[str, Any]) -> ConfigError:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else f" Known settings: {', '.join(known)}."
    return ConfigError(f"There is no setting {key!r}.{hint}")


def _written(value: Any) -> Scalar:
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _like(key: str, value: Scalar, default: Any) -> Any:
    """`value` as the type of `default`: whole numbers pass as floats, texts with commas as lists."""
    if isinstance(default, tuple) and isinstance(value, str):
        return _listed(key, value, type(default[0]) if default else str)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        kinds = {bool: "true or false", int: "a whole number", float: "a number"}
        kind = kinds.get(type(default), "text")
        raise ConfigError(f"Setting {key!r} must be {kind}, not {value!r}.")
    return value


def _listed(key: str, text: str, kind: type) -> tuple[Any, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    try:
        return tuple(kind(word) for word in words)
    except ValueError:
        raise ConfigError(f"Setting {key!r} must be whole numbers with commas, not {text!r}.") from None


def from_texts(settings: Mapping[str, str]) -> TrainingConfig:
    """The configuration of a training run from the texts that MLflow keeps; other keys are left out."""
    known = _flat(TrainingConfig())
    return TrainingConfig.from_mapping(
        {key: _read(text, known[key]) for key, text in settings.items() if key in known}
    )


def _read(text: str, default: Any) -> Scalar:
    """What `str` wrote, as the type of `default`."""
    if isinstance(default, tuple):
        return text
    return text == "True" if isinstance(default, bool) else type(default)(text)
