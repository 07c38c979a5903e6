"""docs/extend.md leads from an installed project to a model of four parties: all its commands are run in turn."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from mlflow import MlflowClient

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extend.md").read_text("utf-8")
EXAMPLE = ROOT / "docs" / "examples" / "court"


def blocks(language: str) -> list[str]:
    """The page's blocks of code in one language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGE)


def fresh_environment(folder: Path) -> Path:
    """A virtual environment that sees what is installed here and into which a package can be installed.

    Returns its folder of programs; those of this project and of Flower run in it.
    """
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    packages = next(folder.glob("lib/python*/site-packages"))
    here = sysconfig.get_paths()["purelib"]
    (packages / "installed-here.pth").write_text(f"{here}\n{ROOT}\n")
    for path in Path(sys.executable).parent.iterdir():
        if re.match(r"siloscore$|flwr|flower", path.name):
            _, _, program = path.read_text("utf-8").partition("\n")
            (programs / path.name).write_text(f"#!{programs / 'python'}\n{program}")
            (programs / path.name).chmod(0o755)
    return programs


@pytest.mark.parametrize(
    ("language", "name"), [("python", "court_party.py"), ("toml", "pyproject.toml")], ids=["type", "package"]
)
def test_the_page_shows_the_example_as_it_is(language: str, name: str) -> None:
    # The blocks after it show keys of a table's party.toml.
    assert blocks(language)[0] == (EXAMPLE / name).read_text("utf-8")


@pytest.mark.slow
def test_every_command_of_the_page_runs_and_four_parties_train(tmp_path: Path) -> None:
    programs = fresh_environment(tmp_path / "environment")
    shutil.copytree(EXAMPLE, tmp_path / "docs" / "examples" / "court")
    commands = "".join(blocks("sh"))
    assert commands.count("siloscore ") >= 7

    done = subprocess.run(
        ["bash", "-euxc", commands],
        cwd=tmp_path,
        env=os.environ
        | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "160",
        },
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"(?m)^ *court +siloscore-court 0\.1\.0 +court_party:CourtParty", done.stdout)
    assert re.search(r"court: (\d+) of \1 checks passed", done.stdout)
    assert "LEAK?" in done.stdout
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("siloscore").experiment_id])
    found = {run.data.tags["contender"]: run for run in runs if "contender" in run.data.tags}
    assert set(found) == {"bank-only-trees", "federated-network", "pooled-trees"}
    assert found["federated-network"].data.params["parties"] == "bank,court,supply_chain,tax"
    # The parties have kept their part of the model, the court its own.
    assert list((tmp_path / "data" / "four" / "court" / "state").glob("*/federated-network/1/Model.record"))
    assert (tmp_path / "data" / "utility" / "utility" / "meters.parquet").is_file()
    assert (tmp_path / "data" / "mine" / "bank" / "party.toml").is_file()
