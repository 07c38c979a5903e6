"""The contract of a party type: checks, for any type, of what every protocol relies on.

They are used like scikit-learn's `check_estimator`: `check_party(MyParty)` in a test of the type's own package, or
`siloscore check-party mypackage:MyParty` on the command line. The checks write the type's `example_records` to disk
and open them as a party would.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

from clients.data.contract.checks import CHECKS, Breach
from clients.data.contract.specimen import Specimen
from clients.data.errors import DataError
from clients.parties import Party, party_type

__all__ = ["Breach", "Verdict", "check_party", "find_party", "verdicts"]


class Verdict(NamedTuple):
    """The outcome of one check: its name, and what is wrong and what to change; empty if the type passes."""

    check: str
    problem: str


def check_party(kind: type[Party]) -> None:
    """Run every check on a party type.

    Raises `Breach`, an AssertionError, with a line for each check that the type does not pass.
    """
    problems = [f"{verdict.check}: {verdict.problem}" for verdict in verdicts(kind) if verdict.problem]
    if problems:
        raise Breach(f"party type {kind.__module__}:{kind.__qualname__}\n" + "\n".join(problems))


def verdicts(kind: type[Party]) -> list[Verdict]:
    """The outcome of every check, in order. A check in which the type's own code raises is not passed."""
    with Specimen(kind) as specimen:
        return [Verdict(check.name, check.problem(specimen)) for check in CHECKS]


def find_party(name: str) -> type[Party]:
    """The party type called `name`, or the class at `module:Class`. Raises `DataError` if there is none."""
    module, colon, attribute = name.partition(":")
    if not colon:
        return party_type(name)
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the module of another package can raise anything on import
        raise DataError(f"{name} cannot be imported ({type(error).__name__}: {error}).") from error
    if not (isinstance(kind, type) and issubclass(kind, Party)):
        raise DataError(f"{name} is not a subclass of clients.parties.base.Party.")
    return kind
