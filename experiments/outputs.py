"""What a command writes to is checked before it works: minutes of work would be lost where nothing can be written."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fl.errors import ConfigError

_SQLITE = b"SQLite format 3\0"


def check_file(path: Path, what: str) -> None:
    """Raises ConfigError unless a file can be written there, in a folder that there is; `what` begins the sentence."""
    folder = path.absolute().parent
    if path.is_dir():
        raise ConfigError(f"{what} cannot be written to {path}: it is a folder.")
    if not folder.is_dir():
        raise ConfigError(f"{what} cannot be written to {path}: there is no folder {folder}.")
    _check_writable(folder, path, what)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives the path of a draft that takes the place of the file when it is written: the whole file or nothing."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def check_folder(path: Path, what: str) -> None:
    """Raises ConfigError unless files can be written to a folder, which may have to be made."""
    there = next(above for above in (path.absolute(), *path.absolute().parents) if above.exists())
    if not there.is_dir():
        raise ConfigError(f"{what} cannot be written to {path}: {there} is no folder.")
    _check_writable(there, path, what)


def check_store(store: Path) -> None:
    """Raises ConfigError unless MLflow can keep its runs there: in its own database file, or a new one."""
    if ":/" in str(store):
        raise ConfigError(f"The store is a file, such as mlflow.db, and no address such as {store}.")
    check_folder(store.parent, "MLflow's runs")
    if store.is_dir():
        raise ConfigError(f"MLflow's runs cannot be written to {store}: it is a folder.")
    if store.is_file() and store.stat().st_size:
        with store.open("rb") as file:
            if file.read(len(_SQLITE)) != _SQLITE:
                raise ConfigError(f"{store} is no MLflow store: it is not an SQLite database.")


def _check_writable(folder: Path, path: Path, what: str) -> None:
    # Asking for permissions tells little of file systems such as /proc, so it is tried.
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{what} cannot be written to {path}: {error.strerror}.") from None
