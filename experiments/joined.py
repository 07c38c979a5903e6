"""The joined table: every party's features at the same positions, which only an experiment can lay side by side.

It is read from the parties' own stores after the alignment of a federated run, so that all contenders see the same
rows, features and roles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clients.aligned import (
    Applications,
    known_to_none,
    read_applications,
    read_coverage,
    read_sensitive,
    read_table,
)
from clients.data.column import Column
from clients.data.declaration import COVERAGE, read_declaration, with_reasons
from clients.evaluation import coverage_names
from clients.parties import party_type
from clients.scores import Scores
from clients.session import state_folder
from clients.store import Store
from fl.config.run import RunConfig
from fl.splits import Roles, Split
from fl.studies import sub_study
from fl.tables import Table

Config = TypeVar("Config", bound=RunConfig)

BANK, BANKS = "bank", "banks"
"""The segment that says which of several banks has a row, and the name under which their columns stand together."""

TRUTH = Path("truth", "applicants.parquet")
"""Where the generator of a dataset keeps what no party knows, relative to the dataset's folder."""


@dataclass(frozen=True)
class Joined:
    """All that the parties of a study hold together; position k is the same business in every part.

    tables has the label holder's first; coverage says which passive party knows which row, and columns are the declared
    ones (`party.toml`) by party and name, with what a customer is told of each. sensitive are the columns of the label
    holder that no model uses, text (n,) by name. blocks has the rows of each bank, one bank after the other, where
    these are the rows of several (`pooled`); then `holder` stands for all of them.
    """

    holder: str
    tables: dict[str, Table]
    applications: Applications
    coverage: Mapping[str, NDArray[np.bool_]]
    columns: dict[str, dict[str, Column]]
    sensitive: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    blocks: Mapping[str, slice] = field(default_factory=dict)

    @property
    def labels(self) -> NDArray[np.int8]:
        """Default within the performance window, (n,)."""
        return self.applications.labels

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Which rows no passive party knows, (n,)."""
        return known_to_none(self.coverage, len(self.labels))

    @property
    def segments(self) -> dict[str, NDArray[np.str_]]:
        """The level of each row in every segment, coverage among them, and the bank where there are several."""
        coverage = {COVERAGE: coverage_names(self.coverage, len(self.labels))}
        banks = {BANK: np.repeat([*self.blocks], [rows.stop - rows.start for rows in self.blocks.values()])}
        return {**self.applications.segments, **coverage, **(banks if self.blocks else {})}

    def of_bank(self) -> "Joined":
        """What the label holder has alone."""
        return replace(self, tables={self.holder: self.tables[self.holder]}, coverage={})

    def signs(self, party: str) -> dict[str, int]:
        """What effect on risk policy demands of each of a party's columns."""
        return {name: column.sign for name, column in self.columns[party].items()}

    def frame(self) -> pd.DataFrame:
        """Every party's columns side by side: numeric as float64, categorical as pandas categories."""
        return pd.concat([_frame(name, table) for name, table in self.tables.items()], axis=1)


def pooled(banks: Mapping[str, Joined]) -> Joined:
    """The rows of several banks with the same columns, one bank after the other; a single bank's as they are.

    Segments and sensitive columns are those that all banks have.
    """
    if len(banks) == 1:
        return next(iter(banks.values()))
    every = [*banks.values()]
    passive = every[0].coverage
    ends = np.cumsum([len(one.labels) for one in every]).tolist()
    columns = {name: every[0].columns[name] for name in passive}
    return Joined(
        holder=BANKS,
        tables={
            BANKS: Table.stacked([one.tables[one.holder] for one in every]),
            **{name: Table.stacked([one.tables[name] for one in every]) for name in passive},
        },
        applications=Applications(
            ids=np.concatenate([one.applications.ids for one in every]),
            labels=np.concatenate([one.labels for one in every]),
            months=np.concatenate([one.applications.months for one in every]),
            segments=_of_all([one.applications.segments for one in every]),
        ),
        coverage={name: np.concatenate([one.coverage[name] for one in every]) for name in passive},
        columns={BANKS: every[0].columns[every[0].holder], **columns},
        sensitive=_of_all([one.sensitive for one in every]),
        blocks={
            name: slice(start, end) for name, start, end in zip(banks, [0, *ends[:-1]], ends, strict=True)
        },
    )


def bank_study(config: Config, bank: str, passive: tuple[str, ...]) -> Config:
    """The sub-study of one bank of several with all passive parties, by their folders."""
    name = read_declaration(config.data_folder / bank).name
    return replace(config, study=sub_study(config.study, name), parties=(bank, *passive))


def read_joined(config: RunConfig, holder: str) -> Joined:
    """The joined table of an aligned study; its parties have the names that they gave in the federation."""
    declared = {folder: read_declaration(config.data_folder / folder) for folder in config.parties}
    studies = {about.name: _study(config, folder) for folder, about in declared.items()}
    bank, coverage = declared[holder].name, read_coverage(_study(config, holder))
    tables = {name: read_table(studies[name]) for name in (bank, *coverage)}
    columns = {about.name: with_reasons(about, party_type(about.type).columns) for about in declared.values()}
    applications, sensitive = read_applications(studies[bank]), read_sensitive(studies[bank])
    return Joined(bank, tables, applications, coverage, columns, sensitive)


def read_roles(config: RunConfig, holder: str, seed: int) -> Roles:
    """The roles that the label holder gave under a seed."""
    return Store(_study(config, holder).folder / "splits" / str(seed)).read(Split).roles


def read_scores(config: RunConfig, holder: str, contender: str, seed: int) -> Scores:
    """The scores by a contender that the parties have trained, which it left in the label holder's own store."""
    return Store(_study(config, holder).folder / contender / str(seed)).read(Scores)


def has_truth(data: Path) -> bool:
    """Whether the generator computed true PDs for this dataset."""
    path = data / TRUTH
    return path.exists() and "true_pd" in pq.read_schema(path).names


def read_true_pd(data: Path, ids: NDArray[np.str_]) -> NDArray[np.float64]:
    """The generator's PD of each business, of a dataset that `has_truth`."""
    truth = pd.read_parquet(data / TRUTH, columns=["business_id", "true_pd"])
    return truth.set_index("business_id")["true_pd"].reindex(ids).to_numpy(np.float64)


def _of_all(columns: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The columns by name that all of several have, the rows of one after those of the other."""
    names = [name for name in columns[0] if all(name in each for each in columns)]
    return {name: np.concatenate([each[name] for each in columns]) for name in names}


def _study(config: RunConfig, folder: str) -> Store:
    """What the party of a folder keeps of the study."""
    return Store(state_folder(config, config.data_folder / folder) / config.study)


def _frame(name: str, table: Table) -> pd.DataFrame:
    frame = pd.DataFrame(table.numeric, columns=[f"{name}.{column}" for column in table.numeric_names])
    for column, codes, levels in zip(table.categorical_names, table.codes.T, table.levels, strict=True):
        frame[f"{name}.{column}"] = pd.Categorical.from_codes(codes, categories=list(levels))
    return frame
