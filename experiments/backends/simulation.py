"""Flower's Simulation Engine, as `flwr run` starts it, in surroundings of its own.

Every run gets a SuperLink on a free local port and a `FLWR_HOME` of its own: the SuperLink that `flwr run` would
start by itself outlives the run and keeps the interpreter and the folder of its first launch. The app that is
submitted is a pyproject.toml which points to the installed packages, launched from a folder with nothing else in it,
so that no folder of the user's that happens to be called `clients` comes first.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import tomli_w

from experiments.servers import free_port, running
from fl.config.run import RunConfig
from server.progress import ProgressReader, Report

RunFederation = Callable[[RunConfig, Report], None]
"""Runs a configuration to its end, passing on its progress."""

_CONNECTION = "siloscore"
_START_SECONDS = 60
_STATUS_EVERY_SECONDS = 30.0


class BackendError(RuntimeError):
    """The run failed; the text says why, and where Flower's log is."""


@dataclass(frozen=True)
class _Link:
    """A running SuperLink."""

    process: subprocess.Popen[bytes]
    port: int
    home: Path
    environment: Mapping[str, str]

    @property
    def log(self) -> Path:
        return self.home / "superlink.log"


@contextmanager
def opened(parties: int, serverapp: str = "server.app:app") -> Iterator[RunFederation]:
    """A SuperLink, which starts while the caller goes on: gives a function that runs configurations on it.

    parties is the most among which a run shares the cores.

    The function raises BackendError when a run fails, and when Flower says that it did not complete, whatever the exit
    code of its command line.
    """
    with (
        tempfile.TemporaryDirectory(prefix="siloscore-", ignore_cleanup_errors=True) as folder,
        _superlink(Path(folder), parties) as link,
    ):

        def run(config: RunConfig, report: Report) -> None:
            app = Path(tempfile.mkdtemp(prefix="app-", dir=link.home))
            watched = replace(config, progress=str(app.with_suffix(".jsonl")))
            write_app(app, watched, serverapp)
            _wait_until_healthy(link)
            _watch(link, _submit(link, app, watched), Path(watched.progress), report)

        yield run


def _watch(link: _Link, number: str, progress: Path, report: Report) -> None:
    """Pass on progress until the coordinator says that it is done, or Flower that the run has ended.

    Flower takes seconds to end its processes after the coordinator's last word; nobody has to wait for that.
    """
    reader, next_look, status = ProgressReader(progress), time.monotonic() + _STATUS_EVERY_SECONDS, ""
    while not status.startswith("finished"):
        if time.monotonic() >= next_look:
            status, details = _status(link, number)
            next_look = time.monotonic() + _STATUS_EVERY_SECONDS
        for event in reader.read():
            report(event)
            if event.stage == "failed":
                raise BackendError(event.text)
            if event.stage == "done":
                return
        if status.startswith("finished") and status != "finished:completed":
            raise BackendError(details or _tail(link.log))
        if link.process.poll() is not None:
            raise BackendError(f"Flower's SuperLink ended by itself.\n{_tail(link.log)}")
        time.sleep(0.2)


def _submit(link: _Link, app: Path, config: RunConfig) -> str:
    parties = len(config.parties)
    processors = max(1, min(parties, os.cpu_count() or 1))
    resources = (
        f"num-supernodes={parties} client-resources-num-cpus=1 init-args-num-cpus={processors} "
        "init-args-log-to-driver=false"
    )
    answer = _flwr(link, "run", str(app), _CONNECTION, "--federation-config", resources)
    return str(answer["run-id"])


def _status(link: _Link, number: str) -> tuple[str, str]:
    """Flower's status of a run, such as `finished:completed`, and its details."""
    run = _flwr(link, "list", _CONNECTION, "--run-id", number)["runs"][0]
    return str(run["status"]), str(run.get("status-details", ""))


def _flwr(link: _Link, *arguments: str) -> dict:
    """A command of Flower's, which answers in JSON."""
    done = subprocess.run(
        ["flwr", *arguments, "--format", "json"],
        env=link.environment,
        cwd=link.home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    text = done.stdout
    answer = json.loads(text[text.index("{") : text.rindex("}") + 1]) if "{" in text else {}
    if done.returncode or not answer.get("success"):
        raise BackendError(f"`flwr {arguments[0]}` failed: {(done.stderr or done.stdout).strip()}")
    return answer


@contextmanager
def _superlink(home: Path, parties: int) -> Iterator[_Link]:
    port, cores = free_port(), os.cpu_count() or 1
    environment = {
        **os.environ,
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Passive parties work at the same time: each may use its part of the cores.
        "LOKY_MAX_CPU_COUNT": os.environ.get("LOKY_MAX_CPU_COUNT", str(max(1, cores // max(1, parties - 1)))),
        # Flower's programs are started by name: those of this environment must come first.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    connection = {"address": f"127.0.0.1:{port}", "insecure": True}
    settings = {"superlink": {"default": _CONNECTION, _CONNECTION: connection}}
    (home / "config.toml").write_text(tomli_w.dumps(settings), "utf-8")
    command = [
        *("flower-superlink", "--insecure", "--simulation", "--isolation", "subprocess"),
        *("--host", "127.0.0.1", "--port", str(port), "--log-file", str(home / "superlink.log")),
    ]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with running(command, env=environment, cwd=home, **silent) as process:
        yield _Link(process, port, home, environment)


def _wait_until_healthy(link: _Link) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and link.process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{link.port}/health", timeout=1):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise BackendError(f"Flower's SuperLink did not start.\n{_tail(link.log)}")


def write_app(folder: Path, config: RunConfig, serverapp: str) -> None:
    """A Flower app without code: its two halves are the installed packages."""
    folder.mkdir(exist_ok=True)
    app = {
        "publisher": "siloscore",
        "components": {"serverapp": serverapp, "clientapp": "clients.app:app"},
        "config": config.to_mapping(),
    }
    content = {
        "project": {
            "name": "siloscore",
            "version": version("siloscore"),
            "description": "Federated credit scoring",
            "license": "Apache-2.0",
            "dependencies": [],
        },
        "tool": {"flwr": {"app": app}},
    }
    (folder / "pyproject.toml").write_text(tomli_w.dumps(content), "utf-8")


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-lines:]) if log.exists() else ""
