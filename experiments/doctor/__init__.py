"""Whether one organisation is ready to take part in a federation: `siloscore doctor`.

It looks at what the organisation has on its own machine, and asks the coordinator's front door for what only that can
tell. It changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from clients.data.errors import DataError
from fl.errors import ConfigError, ProtocolError


class Verdict(StrEnum):
    """What a check has come to."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Finding:
    """What a check has found, in sentences; a warning and a failure say what to do."""

    verdict: Verdict
    text: str


def ok(text: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, text)


def warning(text: str) -> Finding:
    """A study would go, but something should be looked at."""
    return Finding(Verdict.WARNING, text)


def failure(text: str) -> Finding:
    """No study would go."""
    return Finding(Verdict.FAILURE, text)


def findings(checks: Mapping[str, Callable[[], Finding]]) -> dict[str, Finding]:
    """What the checks find, by name. What a check raises for a person to act on is a failure in its own words."""
    return {name: _finding(check) for name, check in checks.items()}


def _finding(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except (DataError, ConfigError, ProtocolError) as error:
        return failure(str(error))
    except OSError as error:
        return failure(f"{error.strerror or error} ({error.filename})." if error.filename else f"{error}.")
