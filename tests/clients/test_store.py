import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clients.store import Store, retain

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
contents = st.dictionaries(
    names | st.sampled_from(["file", "reply", "a/b"]),
    arrays.arrays(np.float32, arrays.array_shapes(min_side=0))
    | arrays.arrays("U3", 2, elements=st.text("业ab", max_size=3)),
    max_size=3,
)


def forget() -> None:
    """As in a fresh process: only the files are left."""
    Store._last.clear()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "study")


def test_before_the_first_step_there_is_nothing(store: Store) -> None:
    last = store.last()
    assert (last.step, dict(last.state), last.reply) == (0, {}, b"")


@given(state=contents, reply=st.binary())
def test_the_last_commit_comes_back_in_this_process_and_in_another(
    tmp_path_factory: pytest.TempPathFactory, state: dict, reply: bytes
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.commit(1, {"old": np.zeros(1)}, b"old")
    store.commit(2, state, reply)

    for _ in range(2):
        last = store.last()
        assert (last.step, last.reply) == (2, reply)
        assert set(last.state) == set(state)
        for name, array in state.items():
            np.testing.assert_array_equal(last.state[name], array)
        forget()


def test_another_process_steps_are_noticed_despite_the_cache(store: Store) -> None:
    store.commit(1, {}, b"mine")
    cached = dict(Store._last)
    store.commit(2, {}, b"theirs")
    Store._last.clear()
    Store._last.update(cached)
    assert store.last().reply == b"theirs"


def test_only_the_last_commit_is_kept(store: Store) -> None:
    for step in (1, 2, 3):
        store.commit(step, {}, b"")
    assert len(list(store.folder.iterdir())) == 1


def test_a_crash_while_writing_leaves_the_last_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(1, {"weights": np.ones(3)}, b"one")

    def crash(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(OSError, match="no space"):
            store.commit(2, {"weights": np.zeros(3)}, b"two")
    forget()

    assert store.last().step == 1
    np.testing.assert_array_equal(store.last().state["weights"], np.ones(3))
    store.commit(2, {}, b"again")
    assert store.last().reply == b"again"


def test_a_crash_before_the_old_commit_is_removed_leaves_the_new_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit(1, {}, b"one")

    def crash(*_: object, **__: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", crash)
        with pytest.raises(OSError, match="killed"):
            store.commit(2, {}, b"two")
    forget()

    assert store.last().reply == b"two"
    store.commit(3, {}, b"three")
    assert len(list(store.folder.iterdir())) == 1


@given(content=contents)
def test_named_arrays_stay_beside_the_commits(
    tmp_path_factory: pytest.TempPathFactory, content: dict
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.write("model", {"x": np.zeros(2)})
    store.write("model", content)
    store.commit(1, {}, b"")

    found = store.read("model")

    assert list(found) == list(content)
    for name, array in content.items():
        np.testing.assert_array_equal(found[name], array)


def test_what_was_never_written_cannot_be_read(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.read("model")


def test_nobody_else_may_look(store: Store) -> None:
    store.commit(1, {}, b"")
    assert store.folder.stat().st_mode & 0o077 == 0


def studies(root: Path, *names: str) -> None:
    """Studies, the oldest first."""
    for age, name in enumerate(reversed(names)):
        Store(root / name).commit(1, {}, b"")
        Store(root / name / "federated-network" / "1").commit(1, {}, b"")
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


def test_a_study_that_goes_on_is_never_removed(tmp_path: Path) -> None:
    studies(tmp_path, "a", "b", "c")
    retain(tmp_path, "a", 1)
    assert {path.name for path in tmp_path.iterdir()} == {"a"}


def test_the_first_study_of_all_removes_nothing(tmp_path: Path) -> None:
    retain(tmp_path / "none", "new", 1)
    assert not (tmp_path / "none").exists()


def test_a_file_of_any_kind_is_kept_for_this_user_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.write_file("scores.csv", b"id\n")
    assert (tmp_path / "s" / "scores.csv").read_bytes() == b"id\n"
    assert (tmp_path / "s" / "scores.csv").stat().st_mode & 0o077 == 0
    assert not store.has("x")
    store.write("x", {})
    assert store.has("x")
