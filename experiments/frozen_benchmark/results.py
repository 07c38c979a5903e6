"""The file of the benchmark: JSON of the form `Benchmark`, which docs/benchmark.md describes field by field."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fl.errors import ConfigError

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What training took: messages, and the time of all parties and the coordinator together."""

    round_trips: int
    megabytes: float
    seconds: float
    cpu_seconds: float


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model under one seed: its figures on the test rows, and the PDs from which they follow, in the order of ids."""

    model: str
    seed: int
    auc: Share
    auc_low: Share
    auc_high: Share
    gini: float
    ks: Share
    brier: Share
    pd: list[Share]
    costs: Costs | None = None


class CaseResults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The test rows of a case by id, who of them defaulted (1), and the models that have judged them."""

    name: str
    set: str
    digests: dict[str, str]
    ids: list[str]
    labels: list[Literal[0, 1]]
    lines: list[Line]

    def __post_init__(self) -> None:
        if self.ids != sorted(set(self.ids)):
            raise ValueError(f"the ids of {self.name} are not in order, or not distinct")
        for values in (self.labels, *(line.pd for line in self.lines)):
            if len(values) != len(self.ids):
                raise ValueError(f"a list of {self.name} has {len(values)} values for {len(self.ids)} ids")


class Benchmark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All cases; `version` is that of this form and of the frozen cases, `siloscore` that of the package.

    frozen says whether data and rows are those of the benchmark; `businesses` is the number of applicants of each
    economy.
    """

    version: Literal[1]
    siloscore: str
    frozen: bool
    businesses: int
    cases: list[CaseResults]


def write_benchmark(benchmark: Benchmark, path: Path) -> None:
    """Write the file."""
    path.write_bytes(msgspec.json.encode(benchmark) + b"\n")


def read_benchmark(path: Path) -> Benchmark:
    """Read the file. Raises ConfigError when there is none, or when it has another form."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Benchmark)
    except OSError as error:
        raise ConfigError(f"The results {path} cannot be read: {error.strerror}.") from None
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path} is no file of benchmark results: {error}.") from None
