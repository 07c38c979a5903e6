import shutil
import subprocess

import pytest

from server.tracking.provenance import ROOT, code_version

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def checkout(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, "-C", tmp_path, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "code.py").write_text("x = 1\n")
    git("add", "code.py")
    git("commit", "--message", "first")
    return tmp_path


def test_the_version_is_asked_of_the_folder_that_holds_the_packages():
    assert (ROOT / "server" / "tracking" / "provenance.py").is_file()


@needs_git
def test_the_version_is_the_commit(checkout):
    head = subprocess.run(
        ["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert code_version(checkout) == head.stdout.strip()


@needs_git
def test_changed_code_is_marked(checkout):
    (checkout / "code.py").write_text("x = 2\n")
    assert code_version(checkout).endswith("-dirty")


@needs_git
def test_code_inside_somebody_else_s_repository_has_no_version(checkout):
    (checkout / "site-packages").mkdir()
    assert code_version(checkout / "site-packages") is None


@needs_git
def test_a_broken_repository_is_no_reason_to_stop(tmp_path):
    (tmp_path / ".git").write_text("gitdir: nowhere")
    assert code_version(tmp_path) is None


def test_no_git_is_no_reason_to_stop(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert code_version(tmp_path) is None
