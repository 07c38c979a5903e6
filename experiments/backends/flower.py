"""An app of ours on a SuperLink, by Flower's command line: how it is submitted, and watched until it is done."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from fl.config.run import RunConfig
from server.progress import ProgressReader, Report

RunFederation = Callable[[RunConfig, Report], None]
"""Runs a configuration to its end, passing on its progress."""

CONNECTION = "siloscore"
"""Name of the connection to the SuperLink in Flower's settings."""

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}
"""Flower reports nothing to its makers, and installs nothing."""

PROGRESS, RUN = ".jsonl", ".run"
"""Suffixes of files in Flower's folder: a study's progress, and the study of a run, which is named by its number."""

_STATUS_EVERY_SECONDS = 30.0
_CALL_SECONDS = 120.0


class BackendError(RuntimeError):
    """The run failed; the text says why, and where Flower's log is."""


def flower_environment(home: Path) -> dict[str, str]:
    """The environment of Flower's programs, whose settings and apps are in a folder of ours."""
    return {
        **os.environ,
        **QUIET,
        "FLWR_HOME": str(home),
        # Flower's programs are started by name: those of this environment must come first.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


@dataclass(frozen=True)
class Flower:
    """Flower's command line with one connection, to a SuperLink.

    home is its folder, FLWR_HOME; log is the SuperLink's. `connect` writes its settings.
    """

    home: Path
    log: Path
    environment: Mapping[str, str]

    def connect(self, address: str, root_certificates: Path | None = None) -> None:
        """Write down where the SuperLink is, and who signs its certificate; without that it has none."""
        trust = {"root-certificates": str(root_certificates)} if root_certificates else {"insecure": True}
        settings = {"superlink": {"default": CONNECTION, CONNECTION: {"address": address, **trust}}}
        (self.home / "config.toml").write_text(tomli_w.dumps(settings), "utf-8")

    def call(self, *arguments: str) -> dict[str, Any]:
        """What a command of Flower's answers, in JSON. Raises BackendError when it fails."""
        try:
            done = subprocess.run(
                ["flwr", *arguments, "--format", "json"],
                env=self.environment,
                cwd=self.home,
                capture_output=True,
                text=True,
                timeout=_CALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BackendError(f"`flwr {arguments[0]}` had no answer in {_CALL_SECONDS:g} seconds.") from None
        text = done.stdout
        answer = json.loads(text[text.index("{") : text.rindex("}") + 1]) if "{" in text else {}
        if done.returncode or not answer.get("success"):
            said = answer.get("error-message") or done.stderr or done.stdout
            raise BackendError(f"`flwr {arguments[0]}` failed: {said.strip()}")
        return dict(answer)

    def run(
        self,
        config: RunConfig,
        report: Report,
        serverapp: str,
        options: tuple[str, ...] = (),
        check: Callable[[str], object] = lambda number: None,
    ) -> None:
        """Submit a configuration, and pass on its progress until it is done.

        check gets the run's number now and then, and raises BackendError where nothing is to be expected any more.
        Raises BackendError when the run fails, when the SuperLink is away for longer than the run waits for a party,
        and when Flower says that it did not complete, whatever the exit code of its command line.
        """
        progress = self.home / f"{config.study}{PROGRESS}"
        progress.unlink(missing_ok=True)  # of an earlier run of this study, which ended otherwise
        with tempfile.TemporaryDirectory(prefix="app-", dir=self.home) as app:
            write_app(Path(app), replace(config, progress=str(progress)), serverapp)
            number = str(self.call("run", app, CONNECTION, *options)["run-id"])
        (self.home / f"{number}{RUN}").write_text(config.study, "utf-8")
        try:
            self._watch(number, ProgressReader(progress), report, check, config.party_timeout)
        except (KeyboardInterrupt, SystemExit):
            # The SuperLink may outlive the command, and the parties would train on for nobody.
            with suppress(BackendError):  # it has ended meanwhile
                self.call("stop", number, CONNECTION)
            raise

    def _watch(
        self,
        number: str,
        reader: ProgressReader,
        report: Report,
        check: Callable[[str], object],
        patience: float,
    ) -> None:
        """Pass on progress until the coordinator says that it is done, or Flower that the run has ended.

        Flower takes seconds to end its processes after the coordinator's last word; nobody has to wait for that.
        """
        status, heard = "", time.monotonic()
        next_look = heard + _STATUS_EVERY_SECONDS
        while not status.startswith("finished"):
            if time.monotonic() >= next_look:
                try:
                    status, details = self._status(number)
                    heard = time.monotonic()
                except BackendError:
                    # The run goes on without its SuperLink for as long as it waits for a party.
                    if time.monotonic() - heard > patience + _STATUS_EVERY_SECONDS:
                        raise
                next_look = time.monotonic() + _STATUS_EVERY_SECONDS
            for event in reader.read():
                report(event)
                if event.stage == "failed":
                    raise BackendError(event.text)
                if event.stage == "done":
                    return
            if status.startswith("finished") and status != "finished:completed":
                raise BackendError(details or tail(self.log))
            check(number)
            time.sleep(0.2)

    def _status(self, number: str) -> tuple[str, str]:
        """Flower's status of a run, such as `finished:completed`, and its details."""
        run = self.call("list", CONNECTION, "--run-id", number)["runs"][0]
        return str(run["status"]), str(run.get("status-details", ""))


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


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-lines:]) if log.exists() else ""
