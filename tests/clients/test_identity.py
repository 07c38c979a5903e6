"""A party's private keys on disk: made once, for this user alone, and refused where others may read them."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable

import pytest

from clients.data.errors import DataError
from clients.identity import FILE_NAME, make_identity, read_identity


def test_an_identity_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    assert make_identity(tmp_path)
    made = read_identity(tmp_path).public

    assert not make_identity(tmp_path)

    assert read_identity(tmp_path).public == made
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_of_several_processes_one_makes_it_and_all_read_the_same(tmp_path: Path) -> None:
    # Each is ready before any of them begins.
    code = (
        "import sys; from pathlib import Path; from clients.identity import make_identity, read_identity\n"
        "folder = Path(sys.argv[1]); print(flush=True); sys.stdin.readline()\n"
        "print(make_identity(folder), read_identity(folder).public.text)"
    )
    processes = [
        Popen([executable, "-c", code, str(tmp_path)], stdin=PIPE, stdout=PIPE, text=True) for _ in range(3)
    ]
    for process in processes:
        process.stdout.readline()
    with ThreadPoolExecutor() as pool:
        said = [out.split() for out, _ in pool.map(lambda process: process.communicate("\n"), processes)]

    assert sorted(made for made, _ in said) == ["False", "False", "True"]
    assert {text for _, text in said} == {read_identity(tmp_path).public.text}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_keys_that_others_may_read_are_refused(tmp_path: Path, mode: int) -> None:
    make_identity(tmp_path)
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(DataError, match=re.escape(f"run `chmod 600 {tmp_path / FILE_NAME}`")):
        read_identity(tmp_path)


def test_keys_that_are_not_there_or_are_none_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"`siloscore keys .*` makes it"):
        read_identity(tmp_path)
    (tmp_path / FILE_NAME).touch(0o600)
    with pytest.raises(DataError, match="holds no identity; remove it, and make a new one"):
        read_identity(tmp_path)


def test_new_keys_in_the_same_place_are_read_anew(tmp_path: Path) -> None:
    make_identity(tmp_path)
    before = read_identity(tmp_path).public
    (tmp_path / FILE_NAME).unlink()
    make_identity(tmp_path)
    assert read_identity(tmp_path).public != before
