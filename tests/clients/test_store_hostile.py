"""Who can read a party's state, and what a store never removes."""

import os
from pathlib import Path

import numpy as np
import pytest

from clients.store import Store, retain


@pytest.fixture(autouse=True)
def generous_umask():
    before = os.umask(0o000)
    yield
    os.umask(before)


def test_all_that_a_store_makes_is_for_its_owner_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "state" / "study" / "model" / "1")
    store.write("labels", {"labels": np.ones(3)})
    store.commit(1, {"exponent": np.ones(3)}, b"reply")

    made = [*list((tmp_path / "state").rglob("*")), tmp_path / "state"]

    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}


@pytest.mark.parametrize("name", ["file", "args", "allow_pickle", "../x", "a/b", "业", ""])
def test_any_name_of_a_party_is_a_name_for_an_array(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / "study")
    store.write("coverage", {name: np.arange(3)})
    store.commit(1, {name: np.arange(4)}, b"")
    Store._last.clear()

    np.testing.assert_array_equal(store.read("coverage")[name], np.arange(3))
    np.testing.assert_array_equal(store.last().state[name], np.arange(4))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["00000001.step", "coverage.npz", "study"]


def test_a_file_with_pickled_objects_is_not_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    np.savez(tmp_path / "roles.npz", **{"array/roles": np.array([{"a": 1}], dtype=object)})

    with pytest.raises(ValueError, match="allow_pickle"):
        store.read("roles")


def test_retention_removes_studies_and_nothing_else(tmp_path: Path) -> None:
    for number in range(3):
        Store(tmp_path / f"study{number}").commit(1, {}, b"")
        os.utime(tmp_path / f"study{number}", (number, number))
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "invoices.parquet").write_bytes(b"kept")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    Store(outside).commit(1, {}, b"")
    (tmp_path / "link").symlink_to(outside)

    retain(tmp_path, "new", 1)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "records"]
    assert (outside / "00000001.step").exists()
