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

from fl.errors import ConfigError

Scalar: TypeAlias = bool | int | float | str

_ELSEWHERE = ", since Flower runs the apps in another folder"


def _require(condition: bool, setting: str, allowed: str, value: object) -> None:
    if not condition:
        raise ConfigError(f"Setting {setting!r} must be {allowed}, not {value!r}.")


@dataclass(frozen=True)
class NetworkConfig:
    """Settings of the split network (`fl/split_network.py`).

    batch_size      rows per training batch
    batches         training batches at most; one costs two round trips
    bins            quantile bins of the piecewise-linear encoding of a numeric column
    embedding       numbers per row that a party sends to the bank
    top             hidden units of the bank's top model
    learning_rate   peak of the one-cycle schedule of AdamW
    weight_decay    AdamW's decoupled weight decay
    defence         what hides labels in the gradients: `gaussian`, `max-norm` or `none`
    noise           `gaussian`: standard deviation of the noise in units of the batch's largest row norm
    party_dropout   share of rows for which a party is hidden from the top model in training
    evaluate_every  batches between two looks at the validation AUC
    patience        looks without improvement after which training stops
    """

    batch_size: int = 4096
    batches: int = 140
    bins: int = 8
    embedding: int = 16
    top: int = 16
    learning_rate: float = 0.01
    weight_decay: float = 0.5
    defence: str = "gaussian"
    noise: float = 8.0
    party_dropout: float = 0.1
    evaluate_every: int = 5
    patience: int = 14

    def __post_init__(self) -> None:
        for name in (
            "batch_size",
            "batches",
            "bins",
            "embedding",
            "top",
            "evaluate_every",
            "patience",
        ):
            _require(getattr(self, name) >= 1, f"network.{_key(name)}", "1 or more", getattr(self, name))
        _require(_positive(self.learning_rate), "network.learning-rate", "positive", self.learning_rate)
        _require(0 <= self.weight_decay < 1, "network.weight-decay", "in [0, 1)", self.weight_decay)
        _require(
            self.defence in ("gaussian", "max-norm", "none"),
            "network.defence",
            "gaussian, max-norm or none",
            self.defence,
        )
        _require(
            _positive(self.noise), "network.noise", "positive (to switch it off: defence none)", self.noise
        )
        _require(0 <= self.party_dropout < 1, "network.party-dropout", "in [0, 1)", self.party_dropout)


@dataclass(frozen=True)
class BoostingConfig:
    """Settings of boosting (`fl/boosting`).

    trees                 trees at most
    depth                 levels of splits in a tree
    learning_rate         share of a leaf's best weight that it adds to the score
    bins                  bins of a column at most, that of missing values included
    min_bin_count         training rows of a bin at least
    min_leaf_count        training rows of a leaf at least
    min_leaf_weight       sum of hessians of a leaf at least
    min_gain              a split gains more than this
    l2                    penalty on squared leaf weights
    category_smoothing    hessian added to that of each level of a category before levels are ordered
    row_share             share of the training rows that a tree learns from
    column_share          share of each party's columns that a tree may use
    goss_top              GOSS: share of the rows, those of largest gradient, that a tree learns from whole; 0: no GOSS
    goss_other            GOSS: share drawn from the other rows
    monotone              keep to the signs that `party.toml` declares
    first_tree_bank_only  the first tree, whose gradients are the labels themselves, is grown by the bank alone
    ahead                 how far ahead of splits the gradients for what follows them are sent: `tree` (with the last
                          splits of a tree for the next one, too), `level` (for the next level) or `none`. Each step
                          saves round trips, most of a run's time in a deployment, and costs encryption
    patience              trees without a better validation AUC after which training stops, and returns to the best;
                          0: all trees are grown and kept
    calibrate             fit the map from scores to probabilities on the validation rows
    precision             fractional bits of gradients and hessians
    encryption            engine of the sums (`fl/encrypted_sums`): lattice, paillier or plain
    """

    trees: int = 60
    depth: int = 4
    learning_rate: float = 0.2
    bins: int = 32
    min_bin_count: int = 10
    min_leaf_count: int = 40
    min_leaf_weight: float = 1.0
    min_gain: float = 0.0
    l2: float = 10.0
    category_smoothing: float = 10.0
    row_share: float = 1.0
    column_share: float = 1.0
    goss_top: float = 0.0
    goss_other: float = 0.1
    monotone: bool = True
    first_tree_bank_only: bool = False
    ahead: str = "tree"
    patience: int = 15
    calibrate: bool = True
    precision: int = 10
    encryption: str = "lattice"

    def __post_init__(self) -> None:
        for name in ("trees", "min_bin_count", "min_leaf_count"):
            _require(getattr(self, name) >= 1, f"boosting.{_key(name)}", "1 or more", getattr(self, name))
        _require(self.patience >= 0, "boosting.patience", "0 or more", self.patience)
        _require(1 <= self.depth <= 10, "boosting.depth", "from 1 to 10", self.depth)
        _require(2 <= self.bins <= 255, "boosting.bins", "from 2 to 255", self.bins)
        _require(4 <= self.precision <= 24, "boosting.precision", "from 4 to 24", self.precision)
        _require(0 < self.learning_rate <= 1, "boosting.learning-rate", "in (0, 1]", self.learning_rate)
        _require(_positive(self.l2), "boosting.l2", "positive", self.l2)
        for name in ("min_leaf_weight", "min_gain", "category_smoothing"):
            value = getattr(self, name)
            _require(0 <= value < float("inf"), f"boosting.{_key(name)}", "0 or more", value)
        for name in ("row_share", "column_share"):
            value = getattr(self, name)
            _require(0 < value <= 1, f"boosting.{_key(name)}", "in (0, 1]", value)
        _require(0 <= self.goss_top < 1, "boosting.goss-top", "in [0, 1)", self.goss_top)
        allowed = 0 < self.goss_other <= 1 - self.goss_top
        _require(allowed, "boosting.goss-other", "positive, and with goss-top at most 1", self.goss_other)
        paces = ("tree", "level", "none")
        _require(self.ahead in paces, "boosting.ahead", ", ".join(paces), self.ahead)
        engines = ("lattice", "paillier", "plain")
        _require(self.encryption in engines, "boosting.encryption", ", ".join(engines), self.encryption)


@dataclass(frozen=True)
class RunConfig:
    """Settings of one run of the federation; `NetworkConfig` and `BoostingConfig` are the protocols' own.

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

    def __post_init__(self) -> None:
        _require(self.alignment in ("left", "inner"), "alignment", "left or inner", self.alignment)
        _require(0 < self.test_share < 1, "test-share", "between 0 and 1", self.test_share)
        _require(0 < self.validation_share < 1, "validation-share", "between 0 and 1", self.validation_share)
        _require(
            self.test_share + self.validation_share < 1,
            "test-share",
            f"below 1 together with the validation-share of {self.validation_share:g}",
            self.test_share,
        )
        for name in ("test_ids", "state", "model_data", "applicants", "progress"):
            path = getattr(self, name)
            _require(not path or Path(path).is_absolute(), _key(name), f"an absolute path{_ELSEWHERE}", path)
        # The parties make a folder of it.
        _require(
            re.fullmatch(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)?", self.study) is not None,
            "study",
            "of letters, digits, '_', '.' and '-'",
            self.study,
        )
        named = re.fullmatch(r"([\w.-]+/[\w.-]+/[0-9]+)?", self.model)
        _require(named is not None, "model", "STUDY/CONTENDER/SEED", self.model)
        _require(
            bool(self.model) == bool(self.applicants),
            "applicants",
            "a file with a model, and none without",
            self.applicants,
        )
        _require(self.keep_studies >= 1, "keep-studies", "1 or more", self.keep_studies)
        _require(_positive(self.timeout), "timeout", "positive", self.timeout)
        _require(_positive(self.connect_timeout), "connect-timeout", "positive", self.connect_timeout)
        names = self.party_names
        _require(len(names) == len(set(names)) >= 1, "parties", "distinct names", self.parties)
        contenders = self.contender_names
        _require(len(contenders) == len(set(contenders)), "contenders", "distinct names", self.contenders)
        seeds = self.seed_numbers
        allowed = len(seeds) == len(set(seeds)) >= 1 and all(0 <= seed < 2**32 for seed in seeds)
        _require(allowed, "seeds", "distinct whole numbers from 0 to 4294967295", self.seeds)

    @property
    def data_folder(self) -> Path:
        """The folder of the dataset. ConfigError when it is not named, or relative."""
        known = Path(self.data).is_absolute()
        _require(known, "data", f"the absolute path of a dataset{_ELSEWHERE}", self.data)
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
        values: dict[str, dict[str, Any]] = {"": {}, "network": {}, "boosting": {}}
        for key, value in settings.items():
            section, _, name = key.rpartition(".")
            values[section][name.replace("-", "_")] = _like(key, value, known[key])
        network, boosting = NetworkConfig(**values["network"]), BoostingConfig(**values["boosting"])
        return cls(network=network, boosting=boosting, **values[""])

    @classmethod
    def from_texts(cls, settings: Mapping[str, str]) -> Self:
        """Build from `to_mapping` written as texts, as MLflow keeps it; other keys are left out."""
        known = dict(_defaults(cls()))
        kept = {key: text for key, text in settings.items() if key in known}
        return cls.from_mapping({key: _read(text, known[key]) for key, text in kept.items()})

    def to_mapping(self) -> dict[str, Scalar]:
        """The flat form that `from_mapping` reads; every key, defaults too."""
        return dict(_defaults(self))


def _positive(number: float) -> bool:
    return 0 < number < float("inf")


def _key(name: str) -> str:
    return name.replace("_", "-")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _defaults(
    config: RunConfig | NetworkConfig | BoostingConfig, section: str = ""
) -> Iterator[tuple[str, Scalar]]:
    for item in fields(config):
        value = getattr(config, item.name)
        if isinstance(value, NetworkConfig | BoostingConfig):
            yield from _defaults(value, f"{_key(item.name)}.")
        else:
            yield section + _key(item.name), value


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
