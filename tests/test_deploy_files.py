"""The files of docs/deploy/ are valid to the programs that read them: `systemd-analyze verify`, and `nginx -t`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server.front_door import CALLS

FILES = Path(__file__).parents[1] / "docs" / "deploy"
UNITS = sorted(FILES.glob("*.service"))


def validator(program: str) -> str:
    """The program; without it the test is skipped, but not in continuous integration."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not found and not os.environ.get("CI"):
        pytest.skip(f"{program} is not installed here")
    assert found, f"{program} is not installed, and .ci/run should have done that"
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_reads_the_units(unit: Path, tmp_path: Path) -> None:
    for one in UNITS:
        text = one.read_text("utf-8").replace("/opt/siloscore/bin", str(Path(sys.executable).parent))
        (tmp_path / one.name).write_text(text, "utf-8")
    read = tmp_path / unit.name.replace("@.", "@bank.")
    command = [validator("systemd-analyze"), "verify", "--man=no", str(read)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nginx_reads_its_settings(tmp_path: Path) -> None:
    from experiments.federation.certificates import make_certificates
    from experiments.federation.layout import Coordinator

    nginx, coordinator = validator("nginx"), Coordinator(tmp_path)
    make_certificates(coordinator, ["coordinator.example"])
    text = (FILES / "nginx.conf").read_text("utf-8")
    (tmp_path / "nginx.conf").write_text(text.replace("/srv/siloscore/coordinator", str(tmp_path)), "utf-8")
    command = [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nginx_passes_on_what_the_front_door_does() -> None:
    (calls,) = re.findall(r"\^/v1/fleet/\(([a-z|-]+)\)\$", (FILES / "nginx.conf").read_text("utf-8"))
    assert set(calls.split("|")) == CALLS
