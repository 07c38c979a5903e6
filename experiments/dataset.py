"""A dataset folder as an experiment sees it: an experiment can read the folders of all parties."""

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clients.data.declaration import FILE_NAME, read_declaration, read_toml
from clients.data.errors import DataError
from clients.data.files import SUFFIXES
from clients.data.values import look_alikes, shown
from clients.parties import Party, open_party
from experiments.joined import TRUTH
from server.tracking.provenance import DatasetFacts


@dataclass(frozen=True)
class Dataset:
    """The parties by folder name, the label holder first; world is empty for data that no generator made."""

    folder: Path
    parties: tuple[str, ...]
    world: str
    facts: DatasetFacts

    @property
    def holder(self) -> str:
        """The party that holds the label."""
        return self.parties[0]


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
    opened = {name: open_party(folder / name) for name in ordered}
    _compare_ids(opened)
    for party in opened.values():
        party.warn(has_months=opened[ordered[0]].declaration.month is not None)
    path = folder / "dataset.toml"
    about = read_toml(path) if path.exists() else {}  # that of the generator, if it made the data
    files = {name: digest for name, digest in about.get("files", {}).items() if name.split("/")[0] in ordered}
    return Dataset(
        folder,
        ordered,
        str(about.get("world", "")),
        DatasetFacts(
            str(about.get("name", folder.name)),
            _digest(folder, ordered),
            str(folder),
            len(opened[ordered[0]].applications()),
            files,
            _changed_files(folder, files),
        ),
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


def _compare_ids(parties: Mapping[str, Party]) -> None:
    """Refuses ids of two parties that look alike: the alignment compares exact texts and would not match them."""
    ids = {name: party.ids() for name, party in parties.items()}
    if pair := look_alikes(pc.unique(pa.array(np.concatenate(list(ids.values()))))):
        first, second = (f"{shown(id_)} in {next(n for n in ids if id_.as_py() in ids[n])}" for id_ in pair)
        raise DataError(
            f"The ids {first} and {second} differ only in letter case, width or spaces; parties find common businesses "
            "by the exact text, so write each id in one way."
        )


def _changed_files(folder: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """The files that no longer say what the generator wrote."""
    if not files:
        return ()
    from synthetic_data.digests import changed_files  # with the generator, which other data need not import

    return changed_files(folder, files)


def party_names(folder: Path, parties: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The parties of a dataset, or those named, the one that holds the label first. Raises DataError."""
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
    holders = [name for name in names if read_declaration(folder / name).target is not None]
    if len(holders) != 1:
        said = " and ".join(holders) if holders else "none of them"
        raise DataError(
            f"{folder}: exactly one party must hold the label; {said} of {', '.join(names)} does."
        )
    return (holders[0], *(name for name in names if name != holders[0]))


def _digest(folder: Path, parties: tuple[str, ...]) -> str:
    """SHA-256, shortened, of every file that the parties hold directly in their folders."""
    total = hashlib.sha256()
    for party in parties:
        for path in sorted(path for path in (folder / party).iterdir() if path.is_file()):
            total.update(path.name.encode())
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]
