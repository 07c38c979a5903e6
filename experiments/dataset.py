"""A dataset folder as an experiment sees it: an experiment can read the folders of all parties."""

import hashlib
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clients.data.cells import shown
from clients.data.declaration import FILE_NAME, read_declaration, read_toml
from clients.data.errors import DataError
from clients.data.files import SUFFIXES
from clients.data.values import look_alikes
from clients.parties import Party, open_party
from experiments.joined import TRUTH
from fl.errors import ConfigError
from fl.protocols import HORIZONTAL, HYBRID, VERTICAL
from server.tracking.provenance import DatasetFacts

MANY = 1_000
"""In place of a number of values that nobody has counted: more than a column has bins."""
_FIRST_ROWS = 10_000


@dataclass(frozen=True)
class Dataset:
    """The parties by folder name, the label holders first; world is empty for data that no generator made.

    holders are those of them that hold labels: the banks. known has, by passive party, how many of the label holders'
    applicants it knows, and values, by party, how many values each of its columns has: those of its first rows, or
    `MANY` of a column that is computed.
    """

    folder: Path
    parties: tuple[str, ...]
    holders: tuple[str, ...]
    world: str
    facts: DatasetFacts
    known: Mapping[str, int]
    values: Mapping[str, tuple[int, ...]]

    @property
    def holder(self) -> str:
        """The party that holds the label. Raises ConfigError where several do."""
        return only_holder(self.folder, self.parties)

    @property
    def passive(self) -> tuple[str, ...]:
        """The parties that hold no labels."""
        return self.parties[len(self.holders) :]

    @property
    def layout(self) -> str:
        """How the data are laid out among the parties (`fl/protocols.py`)."""
        if len(self.holders) == 1:
            return VERTICAL
        return HYBRID if self.passive else HORIZONTAL


def open_dataset(folder: Path, parties: tuple[str, ...] = ()) -> Dataset:
    """Open and check the data of every party, or of those named, before anything runs.

    Warns (DataWarning) where a party's data are likely to disappoint. Raises DataError that names the party, file,
    column and row: an experiment may see these, a coordinator may not.
    """
    try:
        return _checked(folder.resolve(), parties)
    finally:
        # What was read is needed no more. Arrow would keep the memory for as long as this process lives.
        pa.default_memory_pool().release_unused()


def _checked(folder: Path, parties: tuple[str, ...]) -> Dataset:
    ordered = party_names(folder, parties)
    holders = label_holders(folder, ordered)
    opened = {name: open_party(folder / name) for name in ordered}
    ids = {name: party.ids() for name, party in opened.items()}
    _compare_ids(ids)
    _compare_columns({name: opened[name] for name in holders})
    for party in opened.values():
        party.warn(has_months=any(opened[name].declaration.month is not None for name in holders))
    path = folder / "dataset.toml"
    about = read_toml(path) if path.exists() else {}  # that of the generator, if it made the data
    files = {name: digest for name, digest in about.get("files", {}).items() if name.split("/")[0] in ordered}
    return Dataset(
        folder,
        ordered,
        holders,
        str(about.get("world", "")),
        DatasetFacts(
            str(about.get("name", folder.name)),
            _digest(folder, ordered),
            str(folder),
            sum(len(opened[name].applications()) for name in holders),
            files,
            _changed_files(folder, files),
        ),
        {
            name: sum(_common(ids[holder], ids[name]) for holder in holders)
            for name in ordered
            if name not in holders
        },
        {name: _values(party) for name, party in opened.items()},
    )


def undeclared(folder: Path) -> list[str]:
    """A sentence on each folder of a dataset that holds a table and no declaration, and so takes no part."""
    unread = (
        table
        for place in sorted(folder.iterdir())
        if place.is_dir() and not place.name.startswith(".") and place.name != TRUTH.parent.name
        if not (place / FILE_NAME).exists()
        for table in sorted(file for file in place.iterdir() if file.suffix in SUFFIXES)[:1]
    )
    return [
        f"The folder {table.parent.name} has no {FILE_NAME} and takes no part. To let it take part, type: "
        f"{shlex.join(['siloscore', 'init-party', str(table), '--id'])} COLUMN"
        for table in unread
    ]


def _common(ids: NDArray[np.str_], others: NDArray[np.str_]) -> int:
    """How many ids are among the others."""
    return int(pc.sum(pc.is_in(pa.array(ids), pa.array(others))).as_py() or 0)


def _values(party: Party) -> tuple[int, ...]:
    """How many values each declared column has in the first rows of the record table that it stands in, if in any."""
    tables = [table.iloc[:_FIRST_ROWS] for table in party.records.tables.values()]
    return tuple(
        next((int(table[column.name].nunique()) for table in tables if column.name in table), MANY)
        for column in party.declaration.columns
    )


def _compare_ids(ids: Mapping[str, NDArray[np.str_]]) -> None:
    """Refuses ids of two parties that look alike: the alignment compares exact texts and would not match them."""
    if pair := look_alikes(pc.unique(pa.array(np.concatenate(list(ids.values()))))):
        first, second = (f"{shown(id_)} in {next(n for n in ids if id_.as_py() in ids[n])}" for id_ in pair)
        raise DataError(
            f"The ids {first} and {second} differ only in letter case, width or spaces; parties find common businesses "
            "by the exact text, so write each id in one way."
        )


def _compare_columns(banks: Mapping[str, Party]) -> None:
    """Refuses banks whose columns differ, since a model of all of them needs the same ones of each."""
    (first, *others) = banks
    columns = {
        name: [(column.name, column.kind) for column in party.declaration.columns]
        for name, party in banks.items()
    }
    for name in others:
        if columns[name] != columns[first]:
            differing = [pair[0] for pair in {*columns[name]} ^ {*columns[first]}]
            which = f"; they differ in {', '.join(sorted({*differing}))}" if differing else ""
            raise DataError(
                f"{first} and {name} both hold the label, and such banks must declare the same columns in the same "
                f"order{which}. Remove `label` from the {FILE_NAME} of one that is no bank, or name one by --parties."
            )


def _changed_files(folder: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """The files that no longer say what the generator wrote."""
    if not files:
        return ()
    from synthetic_data.digests import changed_files  # with the generator, which other data need not import

    return changed_files(folder, files)


def party_names(folder: Path, parties: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The parties of a dataset, or those named, the ones that hold labels first. Raises DataError."""
    in_folder = sorted(path.parent.name for path in folder.glob(f"*/{FILE_NAME}"))
    if not in_folder:
        raise DataError(f"{folder} is no dataset: it needs a folder with a {FILE_NAME} for each party.")
    for name in parties:
        if name not in in_folder:
            hint = (
                f" `siloscore init-party` writes the {FILE_NAME} of a folder."
                if (folder / name).is_dir()
                else ""
            )
            raise DataError(f"{folder} has no party {name!r}; it has {', '.join(in_folder)}.{hint}")
    names = parties or tuple(in_folder)
    holders = label_holders(folder, names)
    if not holders:
        raise DataError(f"{folder}: a party must hold the label; none of {', '.join(names)} does.")
    return (*holders, *(name for name in names if name not in holders))


def label_holders(folder: Path, parties: Iterable[str]) -> tuple[str, ...]:
    """Those of the parties of a dataset that hold labels."""
    return tuple(name for name in parties if read_declaration(folder / name).target is not None)


def only_holder(folder: Path, parties: tuple[str, ...]) -> str:
    """The one of the parties of a dataset that holds labels. Raises ConfigError where several do."""
    holders = label_holders(folder, parties)
    if len(holders) > 1:
        one = (holders[0], *(name for name in parties if name not in holders))
        raise ConfigError(
            f"{folder} has several banks ({', '.join(holders)}), and this is for a study of one. Name one and the "
            f"parties without labels: --parties {','.join(one)}."
        )
    return holders[0]


def _digest(folder: Path, parties: tuple[str, ...]) -> str:
    """SHA-256, shortened, of every file that the parties hold directly in their folders."""
    total = hashlib.sha256()
    for party in parties:
        for path in sorted(path for path in (folder / party).iterdir() if path.is_file()):
            total.update(path.name.encode())
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]
