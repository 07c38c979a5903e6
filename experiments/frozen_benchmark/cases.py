"""The cases of the benchmark: which data, which rows, which seeds, and the digests by which both can be recognised."""

import hashlib
import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.dataset import Dataset, open_dataset
from experiments.economies import economy
from experiments.joined import Joined
from experiments.study import FinishedStudy
from fl.errors import ConfigError
from fl.splits import TEST, TRAIN, VALIDATION

BUSINESSES = 20_000
"""Applicants of every economy. With another number the cases are for trying things out, and are not frozen."""
CREDIT_CARDS = "credit-cards"
ROLES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
DIGESTS = Path(__file__).with_name("digests.toml")


@dataclass(frozen=True)
class Case:
    """One dataset with its test rows. A model's figure is the mean over the cases of a set.

    seeds are those of training. The network also draws from the operating system, so its figures differ in each run.
    """

    name: str
    set: str
    seeds: tuple[int, ...]

    @contextmanager
    def open(self, businesses: int, credit: Path | None) -> Iterator[Dataset]:
        """The case's dataset: an economy is simulated, and the credit cards are in the folder `credit`."""
        if self.set == CREDIT_CARDS:
            assert credit is not None
            yield open_dataset(credit)
        else:
            with economy(self.set, self.seeds[0], businesses) as dataset:
                yield dataset

    def test_ids(self, credit: Path | None) -> str:
        """The file of test ids; empty where the last vintages are the test rows."""
        return str((credit / "test_ids.csv").resolve()) if credit and self.set == CREDIT_CARDS else ""


CASES = (
    *(Case(f"base-{seed}", "base", (seed,)) for seed in (61, 62)),
    Case("no-partner-signal-61", "no-partner-signal", (61,)),
    Case(CREDIT_CARDS, CREDIT_CARDS, (1, 2, 3)),
)


def choose(names: tuple[str, ...], credit: Path | None) -> list[Case]:
    """The cases of these names, or all; those of the credit cards need their folder. Raises ConfigError."""
    by_name = {case.name: case for case in CASES}
    for name in names:
        if name not in by_name:
            raise ConfigError(f"The benchmark has no case {name!r}; it has {', '.join(by_name)}.")
    if credit is None and CREDIT_CARDS in names:
        raise ConfigError("The case credit-cards needs the data: name their folder with --credit.")
    if credit is not None and not (credit / "test_ids.csv").is_file():
        raise ConfigError(f"{credit} has no file test_ids.csv; docs/benchmark.md says what the folder holds.")
    return [
        case
        for case in CASES
        if case.name in (names or by_name) and (case.set != CREDIT_CARDS or credit is not None)
    ]


def frozen_rows(study: FinishedStudy) -> pd.DataFrame:
    """Id, label and role of every row, by id; training and validation rows are those of the first seed."""
    applications = study.joined.applications
    roles = next(iter(study.roles.values()))
    frame = pd.DataFrame(
        {
            "id": applications.ids,
            "label": applications.labels,
            "role": [ROLES[role] for role in roles.tolist()],
        }
    )
    return frame.sort_values("id", ignore_index=True)


def digests(dataset: Dataset, study: FinishedStudy) -> dict[str, str]:
    """SHA-256 of the data and of the rows.

    That of the rows is over lines of id, label, and 1 for a test row or else 0, by id. That of the data is over what
    the files of an economy say (`synthetic_data/digests.py`), and over the columns of ready tables by id, as float64.
    """
    rows = frozen_rows(study)
    lines = rows.assign(role=(rows["role"] == ROLES[TEST]).astype(int)).to_csv(
        index=False, header=False, lineterminator="\n"
    )
    files = json.dumps(dict(sorted(dataset.facts.files.items()))).encode()
    contents = {"data": files if dataset.facts.files else _columns(study.joined), "rows": lines.encode()}
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _columns(joined: Joined) -> bytes:
    frame = joined.frame().iloc[np.argsort(joined.applications.ids)]
    return "\0".join(frame.columns).encode() + frame.to_numpy(np.float64).tobytes()


def check_frozen(case: str, measured: dict[str, str]) -> None:
    """Raises ConfigError when data or rows of a case are not those which the benchmark has frozen."""
    frozen = tomllib.loads(DIGESTS.read_text("utf-8"))[case]
    if differing := [name for name in frozen if measured[name] != frozen[name]]:
        raise ConfigError(
            f"The {' and '.join(differing)} of {case} are not those of the benchmark, so its figures would not be "
            "comparable. docs/benchmark.md says which data and versions it needs."
        )
