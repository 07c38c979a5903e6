"""One frozen, validated configuration per run, of one of two kinds: a run trains models, or scores applicants by one.

Flower hands every app a flat mapping such as `{"task": "training", "seeds": "1,2", "network.batch-size": 2048}`.
`read_config` makes it a `TrainingConfig` or a `ScoringConfig`, whose fields have the same names with underscores; an
unknown key is an error that suggests the nearest one. Lists are texts with commas at Flower's border only. A protocol's
settings are the section of its name. The defaults of both kinds stand again in `[tool.flwr.app.config]` of
pyproject.toml, because Flower lets a run override no other keys; `python -m experiments.app_config` writes them there.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypeVar, get_origin, get_type_hints

import msgspec

from fl import protocols
from fl.config.checks import (
    AbsolutePath,
    Count,
    Names,
    Positive,
    ProperShare,
    Scalar,
    check,
    is_distinct,
    one_of,
    require,
    setting_name,
    written,
)
from fl.errors import ConfigError
from fl.rules import Rule

Section = TypeVar("Section")
Kind = TypeVar("Kind", bound="RunConfig")

# The parties make a folder of it; see `fl/wire.py`.
StudyName: TypeAlias = Annotated[
    str,
    Rule(
        "of up to 100 letters, digits, '_' and '-'",
        lambda name: re.fullmatch(r"([A-Za-z0-9_][A-Za-z0-9_-]{0,99})?", name) is not None,
    ),
]

_KINDS_IN_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple[int, ...]: "a text of whole numbers with commas",
    tuple[str, ...]: "a text of names with commas",
}


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
    keep_studies     trained studies a party keeps in its state, and as many others; older ones are removed
    tracking_uri     MLflow store; empty: `mlflow.db` in the folder of the dataset
    experiment       MLflow experiment
    progress         file to which progress is appended as JSON lines; empty: none
    journal          folder for what the coordinator needs to go on with a run that broke off; empty: it cannot
    party_timeout    seconds that a party may take for an answer, however often it is asked; then the run stops
    connect_timeout  seconds to wait for the parties to connect
    sections         the settings of each protocol, by name
    """

    task: ClassVar[str]
    of_coordinator: ClassVar[frozenset[str]] = frozenset(
        {"tracking-uri", "experiment", "progress", "journal", "party-timeout", "connect-timeout"}
        | {"parent-run", "world", "register", "model-run"}
    )
    """Settings that are the coordinator's alone: where it writes, and how long it waits."""

    data: str = ""
    parties: Names = ()
    study: StudyName = ""
    state: AbsolutePath = ""
    keep_studies: Count = 5
    tracking_uri: str = ""
    experiment: str = "siloscore"
    progress: AbsolutePath = ""
    journal: AbsolutePath = ""
    party_timeout: Positive = 600.0
    connect_timeout: Positive = 60.0
    sections: Mapping[str, Any] = field(default_factory=sections)

    def __post_init__(self) -> None:
        check(self)

    def require_parties(self) -> tuple[str, ...]:
        """The parties. ConfigError when none is named."""
        require(bool(self.parties), "parties", "the names of those that take part", "")
        return self.parties

    @property
    def data_folder(self) -> Path:
        """The folder of the dataset. ConfigError when it is not named, or relative."""
        allowed = "the absolute path of a dataset, since Flower runs the apps in another folder"
        require(Path(self.data).is_absolute(), "data", allowed, self.data)
        return Path(self.data)

    def section(self, kind: type[Section]) -> Section:
        """The settings of a protocol, by their class. ConfigError when no protocol has such settings."""
        return self.sections[self._name_of(kind)]  # type: ignore[no-any-return]

    def with_section(self, section: object) -> Self:
        """The same run with other settings of one protocol. ConfigError when no protocol has such settings."""
        return replace(self, sections={**self.sections, self._name_of(type(section)): section})

    def _name_of(self, kind: type) -> str:
        for name, section in self.sections.items():
            if type(section) is kind:
                return name
        raise ConfigError(f"There are no settings of the kind {kind.__name__}.")

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of all settings but the coordinator's own: parties with the same one run by the same settings.

        A run that is resumed may write to other places, and wait longer.
        """
        told = {key: value for key, value in self.to_mapping().items() if key not in self.of_coordinator}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Scalar], as_texts: bool = False) -> Self:
        """Build from flat keys such as `network.batch-size`; with `as_texts`, every value is the text that says it.

        Raises ConfigError for an unknown key (with the nearest known one), a value of the wrong type or one out of
        range.
        """
        values: dict[str, dict[str, Any]] = {name: {} for name in ("", *sections())}
        known = {key: kind for key, _, kind in _settings(cls())}
        for key, value in settings.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known settings: {', '.join(known)}."
                raise ConfigError(f"There is no setting {key!r}. {hint}")
            section, _, name = key.rpartition(".")
            values[section][name.replace("-", "_")] = _read(key, value, known[key], as_texts)
        common = values.pop("")
        return cls(
            **common, sections={name: replace(sections()[name], **own) for name, own in values.items()}
        )

    def to_mapping(self) -> dict[str, Scalar]:
        """The flat form that `read_config` reads; every key, defaults too."""
        return {"task": self.task, **{key: written(value) for key, value, _ in _settings(self)}}


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
    joins             study of several banks whose models another bank hands to the newcomer, instead of training
                      (`fl/joining.py`); empty: train
    newcomer          the bank that joins them, by its name
    """

    task: ClassVar[str] = "training"

    contenders: Names = ("federated-network",)
    seeds: Annotated[
        tuple[int, ...],
        Rule(
            "distinct whole numbers from 0 to 4294967295",
            lambda seeds: bool(seeds) and is_distinct(seeds) and all(0 <= seed < 2**32 for seed in seeds),
        ),
    ] = (1,)
    alignment: Annotated[str, one_of("left", "inner")] = "left"
    test_ids: AbsolutePath = ""
    test_share: ProperShare = 0.25
    validation_share: ProperShare = 0.15
    parent_run: str = ""
    world: str = ""
    register: bool = True
    joins: StudyName = ""
    newcomer: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.newcomer) == bool(self.joins), "newcomer", "a bank, with a study that it joins", "")
        allowed = f"below 1 together with the validation-share of {self.validation_share:g}"
        require(self.test_share + self.validation_share < 1, "test-share", allowed, self.test_share)


@dataclass(frozen=True, kw_only=True)
class ScoringConfig(RunConfig):
    """Settings of a run that scores applicants by a model that was trained before.

    model       the trained model, as STUDY/CONTENDER/SEED
    model_run   MLflow run of its training; empty: none
    model_data  folder of the dataset on which it was trained, where the parties keep it; empty: `data`
    applicants  file with the applicants, at the label holder
    queued      whether they are those in the label holder's queue instead (`siloscore serve`)
    """

    task: ClassVar[str] = "scoring"

    model: str = ""
    model_run: str = ""
    model_data: AbsolutePath = ""
    applicants: AbsolutePath = ""
    queued: bool = False

    @property
    def model_parts(self) -> tuple[str, str, int]:
        """Study, contender and seed of `model`. ConfigError when it does not name all three."""
        named = re.fullmatch(r"[\w-]+/[\w-]+/[0-9]+", self.model)
        require(named is not None, "model", "STUDY/CONTENDER/SEED", self.model)
        named_once = bool(self.applicants) != self.queued
        require(named_once, "applicants", "a file of applicants, unless they are queued", self.applicants)
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
    kind = _KINDS[str(task)]
    own = kind().to_mapping()
    others = {key: default for key, default in app_defaults().items() if key not in own}
    for key, value in settings.items():
        if key in others and value != others[key]:
            raise ConfigError(f"Setting {key!r} is not one of a run with the task {task}.")
    return kind.from_mapping({k: v for k, v in settings.items() if k != "task" and k not in others})


def app_defaults() -> dict[str, Scalar]:
    """Every setting of either kind of run, flat and at its default: what pyproject.toml tells Flower."""
    flat = ScoringConfig().to_mapping() | TrainingConfig().to_mapping()
    return {key: flat[key] for key in sorted(flat, key=lambda key: "." in key)}


def from_texts(settings: Mapping[str, str], kind: type[Kind]) -> Kind:
    """The configuration of a run of a kind from the texts that MLflow keeps; other keys are left out."""
    known = {key for key, _, _ in _settings(kind())}
    return kind.from_mapping({k: v for k, v in settings.items() if k in known}, as_texts=True)


def _settings(config: RunConfig) -> Iterator[tuple[str, Any, Any]]:
    """Every setting, those of the sections as `section.name`, with its value and its type."""
    for prefix, part in (("", config), *((f"{name}.", section) for name, section in config.sections.items())):
        types = get_type_hints(type(part))
        for one in fields(part):
            if one.name != "sections":
                yield prefix + setting_name(one.name), getattr(part, one.name), types[one.name]


def _read(key: str, value: Scalar, kind: Any, as_text: bool) -> Any:
    """`value` as the type of its setting: whole numbers pass as floats, texts with commas as lists."""
    is_list = get_origin(kind) is tuple and isinstance(value, str)
    read = [word.strip() for word in str(value).split(",") if word.strip()] if is_list else value
    try:
        return msgspec.convert(read, kind, strict=not (is_list or as_text))
    except msgspec.ValidationError:
        raise ConfigError(f"Setting {key!r} must be {_KINDS_IN_WORDS[kind]}, not {value!r}.") from None
