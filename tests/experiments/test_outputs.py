from pathlib import Path

import pytest

from experiments.outputs import check_file, check_folder, check_store
from fl.errors import ConfigError


def test_what_can_be_written_passes_and_leaves_no_trace(tmp_path: Path) -> None:
    check_file(tmp_path / "table.json", "The table")
    check_folder(tmp_path / "new" / "report", "The report")
    check_store(tmp_path / "new" / "mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_mlflows_passes(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\0 and more")
    for name in ("empty.db", "mlflow.db"):
        check_store(tmp_path / name)


@pytest.mark.parametrize(
    ("check", "path", "message"),
    [
        (check_file, "folder", "The table cannot be written to .*folder: it is a folder"),
        (check_file, "none/table.json", "there is no folder .*none"),
        (check_file, "/proc/table.json", "cannot be written to /proc/table.json: "),
        (check_folder, "file", "The table cannot be written to .*file: .*file is no folder"),
        (check_folder, "file/below", "cannot be written to .*below: .*file is no folder"),
        (check_folder, "/proc/report", "cannot be written to /proc/report: "),
    ],
)
def test_what_cannot_be_written_is_told(check, path: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    with pytest.raises(ConfigError, match=message):
        check(tmp_path / path, "The table")


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("folder", "it is a folder"),
        ("file", "file is no MLflow store: it is not an SQLite database"),
        ("sqlite:///mlflow.db", "The store is a file, such as mlflow.db, and no address"),
        ("/proc/mlflow.db", "MLflow's runs cannot be written to /proc: "),
    ],
)
def test_a_store_that_cannot_be_one_is_told(
    store: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_text("text")
    with pytest.raises(ConfigError, match=message):
        check_store(Path(store))
