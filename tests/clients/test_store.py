import os
import pickle
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clients.store import Commit, DiskFull, Store, retain
from fl.errors import ProtocolError
from fl.wire import Envelope
from tests.full_disk import full_disk


@dataclass(frozen=True)
class Kept:
    """A record of arrays by names that a party may have given."""

    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Other:
    """A record of another kind."""

    count: int


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["file", "args", "allow_pickle", "../x", "a/b", "业", ""]
)
records = st.builds(
    Kept,
    st.dictionaries(
        names,
        arrays.arrays(np.float32, arrays.array_shapes(min_side=0))
        | arrays.arrays("U3", 2, elements=st.text("业ab", max_size=3)),
        max_size=3,
    ),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "study")


def test_before_the_first_step_there_is_nothing(store: Store) -> None:
    assert store.last() == Commit(step=0, conversation="", action="", state=b"", reply=b"")


commits = st.builds(
    Commit,
    step=st.just(2),
    conversation=st.text("ab", max_size=3),
    action=st.text("ab", max_size=3),
    state=st.binary(),
    reply=st.binary(),
)


@given(commit=commits)
def test_the_last_commit_comes_back_in_this_process_and_in_another(
    tmp_path_factory: pytest.TempPathFactory, commit: Commit
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.commit(Commit(step=1, reply=b"old"))
    store.commit(commit)
    moved = store.folder.rename(store.folder.with_name(store.folder.name + "-moved"))
    assert Store(moved).last() == commit
    assert Store(moved.rename(store.folder)).last() == commit


def test_the_steps_of_another_process_are_noticed(
    store: Store, as_found_anew: Callable[[Path], Path]
) -> None:
    store.commit(Commit(step=1, reply=b"mine"))
    another = Store(as_found_anew(store.folder))
    another.commit(Commit(step=2, reply=b"theirs"))
    shutil.copytree(another.folder, store.folder, dirs_exist_ok=True)
    assert store.last().reply == b"theirs"


def test_only_the_last_commit_is_kept(store: Store) -> None:
    for step in (1, 2, 3):
        store.commit(Commit(step=step))
    assert len(list(store.folder.iterdir())) == 1


def test_a_crash_while_writing_leaves_the_last_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch, as_found_anew: Callable[[Path], Path]
) -> None:
    store.commit(Commit(step=1, state=b"weights", reply=b"one"))

    def crash(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(OSError, match="no space"):
            store.commit(Commit(step=2, state=b"others", reply=b"two"))

    anew = Store(as_found_anew(store.folder))
    for after in (store, anew):
        assert after.last() == Commit(step=1, state=b"weights", reply=b"one")
    anew.commit(Commit(step=2, reply=b"again"))
    assert anew.last().reply == b"again"


def test_a_full_disk_is_told_in_a_sentence_and_changes_nothing(store: Store) -> None:
    store.commit(Commit(step=1, reply=b"one"))
    with full_disk(1000), pytest.raises(DiskFull, match="its disk is full; its people must make room there"):
        store.commit(Commit(step=2, state=bytes(2000)))

    assert store.last() == Commit(step=1, reply=b"one")
    store.commit(Commit(step=2, state=bytes(2000)))
    assert [file.name for file in store.folder.iterdir()] == ["00000002.step"]


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: content[:9] + b"?" + content[10:]]
)
def test_a_damaged_step_is_told_in_a_sentence(
    store: Store, damage: Callable[[bytes], bytes], as_found_anew: Callable[[Path], Path]
) -> None:
    store.commit(Commit(step=7, state=b"weights", reply=b"one"))
    anew = Store(as_found_anew(store.folder))
    (file,) = anew.folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))

    with pytest.raises(ProtocolError, match=r"last step is damaged \(00000007\.step\).*start a new study"):
        anew.last()


def test_a_crash_before_the_old_commit_is_removed_leaves_the_new_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, as_found_anew: Callable[[Path], Path]
) -> None:
    store.commit(Commit(step=1, reply=b"one"))

    def crash(*_: object, **__: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", crash)
        with pytest.raises(OSError, match="killed"):
            store.commit(Commit(step=2, reply=b"two"))

    anew = Store(as_found_anew(store.folder))
    for after in (store, anew):
        assert after.last().reply == b"two"
    anew.commit(Commit(step=3, reply=b"three"))
    assert len(list(anew.folder.iterdir())) == 1


@given(record=records)
def test_a_record_of_each_kind_stays_beside_the_commits(
    tmp_path_factory: pytest.TempPathFactory, record: Kept
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.keep(Kept({"x": np.zeros(2)}))
    store.keep(Other(3))
    store.keep(record)
    store.commit(Commit(step=1))

    read = store.read(Kept).arrays

    assert list(read) == list(record.arrays)
    for name, array in record.arrays.items():
        np.testing.assert_array_equal(read[name], array)
    assert store.read(Other) == Other(3)
    # Whatever the names in a record, they are no names of files.
    assert len(list(store.folder.iterdir())) == 3


def test_a_record_that_is_removed_or_was_never_kept_is_not_there(store: Store) -> None:
    for _ in range(2):
        assert not store.has(Other)
        with pytest.raises(FileNotFoundError):
            store.read(Other)
        store.remove(Other)  # which is nothing to remove

        store.keep(Other(1))
        store.keep(Kept({}))
        assert store.has(Other)
        store.remove(Other)
        assert store.has(Kept)


def test_a_file_with_pickled_objects_is_not_read(store: Store) -> None:
    store.keep(Other(1))
    (file,) = store.folder.iterdir()
    file.write_bytes(pickle.dumps({"count": 1}))
    with pytest.raises(ProtocolError, match=r"an? Other is not of its declared form"):
        store.read(Other)


def test_a_file_of_any_kind_stays_beside_them(store: Store) -> None:
    store.write_file("scores.csv", b"old\n")
    store.write_file("scores.csv", b"id\n")
    assert (store.folder / "scores.csv").read_bytes() == b"id\n"


def test_finding_9_a_file_is_on_the_disk_before_it_takes_its_place(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(store.folder, lasting=True)
    store.commit(Commit(step=1))
    events: list[str] = []
    sync, rename, remove = os.fsync, Path.replace, Path.unlink

    def traced(name: str, do: Callable) -> Callable:
        return lambda *given, **named: (events.append(name), do(*given, **named))[1]

    def synced(descriptor: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", traced("replace", rename))
    monkeypatch.setattr(Path, "unlink", traced("unlink", remove))
    store.commit(Commit(step=2))
    assert events == ["file", "replace", "folder", "unlink"]
    events.clear()
    store.keep(Other(1))
    assert events == ["file", "replace", "folder"]
    events.clear()
    Store(store.folder).commit(Commit(step=3))
    assert events == ["replace", "unlink"]


def test_what_a_dead_process_has_left_half_written_is_removed(store: Store) -> None:
    store.commit(Commit(step=1))
    (store.folder / "00000002.step.partial").write_bytes(b"half")
    store.commit(Commit(step=2))
    assert [path.name for path in store.folder.iterdir()] == ["00000002.step"]


# Backups.


RESTORED = "its state was restored from a backup or moved"


def test_a_deployed_party_does_not_go_on_from_a_backup(
    store: Store, as_found_anew: Callable[[Path], Path]
) -> None:
    store = Store(store.folder, lasting=True)
    store.keep(Other(1))
    store.commit(Commit(step=1, reply=b"one"))
    backup = as_found_anew(store.folder)
    store.commit(Commit(step=2, reply=b"two"))
    assert store.last().reply == b"two"

    shutil.rmtree(store.folder)
    backup.rename(store.folder)

    for _ in range(2):
        with pytest.raises(ProtocolError, match=RESTORED):
            store.last()
    assert store.read(Other) == Other(1)  # what is finished serves on


def test_an_inode_that_is_given_anew_does_not_hide_a_backup(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: os.stat("/").st_ctime)  # when the backup was made
        Store(store.folder, lasting=True).commit(Commit(step=1))
    with pytest.raises(ProtocolError, match=RESTORED):
        store.last()


def test_a_deployed_party_goes_on_after_a_restart_and_from_a_folder_that_was_renamed(store: Store) -> None:
    deployed = Store(store.folder, lasting=True)
    for step in (1, 2):
        deployed.commit(Commit(step=step, reply=b"one"))
    moved = Store(store.folder.rename(store.folder.with_name("renamed")), lasting=True)
    assert moved.last() == Commit(step=2, reply=b"one")
    moved.commit(Commit(step=3))
    assert len(list(moved.folder.iterdir())) == 1
    # What an earlier version or a simulation has written has no such name.
    Store(store.folder).commit(Commit(step=4))
    assert deployed.last().step == 4


HOLDER = "import sys; from pathlib import Path; from clients.store import Store\n"
HOLDER += "with Store(Path(sys.argv[1])).locked(): print('held', flush=True); sys.stdin.read()"


def test_finding_9_one_process_writes_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.store._PATIENCE", 0.1)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ProtocolError, match="another process of it is busy in the study study"):
            store.locked().__enter__()
        monkeypatch.setattr("clients.store._PATIENCE", 30.0)
        other.stdin.close()
        with store.locked():
            store.commit(Commit(step=1))
    with store.locked():
        assert store.last().step == 1


def test_finding_9_no_folder_takes_the_place_of_a_file(store: Store) -> None:
    store.commit(Commit(step=1))
    store.keep(Other(1))
    store.mark_trained()
    with store.locked():
        names = [path.name for path in store.folder.iterdir()]
    assert len(names) == 4
    for name in names:
        with pytest.raises(ProtocolError, match="no valid name"):
            Envelope("s", name)


@pytest.fixture
def generous_umask():
    before = os.umask(0o000)
    yield
    os.umask(before)


@pytest.mark.usefixtures("generous_umask")
def test_all_that_a_store_makes_is_for_its_owner_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "state" / "study" / "model" / "1")
    store.keep(Kept({"labels": np.ones(3)}))
    store.commit(Commit(step=1, state=b"exponent", reply=b"reply"))
    store.write_file("scores.csv", b"id\n")

    made = [*list((tmp_path / "state").rglob("*")), tmp_path / "state"]

    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}


# Retention.


def studies(root: Path, *study_names: str) -> None:
    """Studies, the oldest first."""
    for age, name in enumerate(reversed(study_names)):
        Store(root / name).commit(Commit(step=1))
        Store(root / name / "federated-network" / "1").commit(Commit(step=1))
        os.utime(root / name, (time.time() - 100 * (age + 1),) * 2)


@pytest.mark.parametrize(
    ("keep", "left"), [(1, set()), (2, {"d"}), (3, {"c", "d"}), (9, {"a", "b", "c", "d"})]
)
def test_a_new_study_leaves_room_for_itself_among_the_newest(
    tmp_path: Path, keep: int, left: set[str]
) -> None:
    studies(tmp_path, "a", "b", "c", "d")
    retain(tmp_path, "new", keep)
    assert {path.name for path in tmp_path.iterdir()} == left


def test_trained_studies_and_others_are_counted_apart(tmp_path: Path) -> None:
    studies(tmp_path, "a", "b", "c", "d", "e", "f")
    for name in ("a", "b", "c"):
        changed = (tmp_path / name).stat().st_mtime
        Store(tmp_path / name).mark_trained()
        os.utime(tmp_path / name, (changed, changed))

    retain(tmp_path, "new", 2)
    assert {path.name for path in tmp_path.iterdir()} == {"b", "c", "f"}

    studies(tmp_path, "new")
    Store(tmp_path / "new").mark_trained()
    retain(tmp_path, "new", 2)
    assert {path.name for path in tmp_path.iterdir()} == {"c", "f", "new"}


def test_a_study_of_several_banks_counts_once_with_its_sub_studies(tmp_path: Path) -> None:
    studies(tmp_path, "a--bank_a", "a--bank_b", "b", "b--bank_a", "b--bank_b", "c", "d--bank_a")
    retain(tmp_path, "d--bank_b", 2)
    assert {path.name for path in tmp_path.iterdir()} == {"c", "d--bank_a"}
    studies(tmp_path, "b--bank_a", "b", "b--bank_b", "c", "d--bank_a")
    Store(tmp_path / "b").mark_trained()
    retain(tmp_path, "e", 1)
    assert {path.name for path in tmp_path.iterdir()} == {"b", "b--bank_a", "b--bank_b"}


def test_a_study_that_goes_on_is_never_removed(tmp_path: Path) -> None:
    studies(tmp_path, "a", "b", "c")
    retain(tmp_path, "a", 1)
    assert {path.name for path in tmp_path.iterdir()} == {"a"}


def test_the_first_study_of_all_removes_nothing(tmp_path: Path) -> None:
    retain(tmp_path / "none", "new", 1)
    assert not (tmp_path / "none").exists()


def test_retention_removes_studies_and_nothing_else(tmp_path: Path) -> None:
    studies(tmp_path, "study0", "study1", "study2")
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "invoices.parquet").write_bytes(b"kept")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    Store(outside).commit(Commit(step=1))
    (tmp_path / "link").symlink_to(outside)

    retain(tmp_path, "new", 1)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "records"]
    assert Store(outside).last().step == 1
    assert len(list(outside.iterdir())) == 1
