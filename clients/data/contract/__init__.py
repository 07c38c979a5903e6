"""The contract of a party type: checks, for any type, of what every protocol relies on.

They are used like scikit-learn's `check_estimator`: `check_party(MyParty)` in a test of the type's own package, or
`siloscore check-party mypackage:MyParty` on the command line. The checks write the type's `example_records` to disk
and open them as a party would.
"""

from importlib.metadata import EntryPoint

from clients.data.contract.checks import CHECKS, Breach
from clients.data.contract.specimen import Specimen
from clients.parties import ENTRY_POINT_GROUP, Party, load, party_type

__all__ = ["Breach", "check_party", "find_party", "verdicts"]


def check_party(kind: type[Party]) -> None:
    """Run every check on a party type.

    Raises `Breach`, an AssertionError, with a line for each check that the type does not pass.
    """
    problems = [f"{check}: {problem}" for check, problem in verdicts(kind).items() if problem]
    if problems:
        raise Breach(f"party type {kind.__module__}:{kind.__qualname__}\n" + "\n".join(problems))


def verdicts(kind: type[Party]) -> dict[str, str]:
    """By the name of each check, in order, what is wrong and what to change; empty if the type passes.

    A check in which the type's own code raises is not passed.
    """
    with Specimen(kind) as specimen:
        return {check.name: check.problem(specimen) for check in CHECKS}


def find_party(name: str) -> type[Party]:
    """The party type called `name`, or the class at `module:Class`. Raises `DataError` if there is none."""
    return load(EntryPoint(name, name, ENTRY_POINT_GROUP), name) if ":" in name else party_type(name)
