"""Rules of what a value may be, which stand in the annotations of a dataclass: `trees: Annotated[int, at_least(1)]`.

A module whose annotations have a lambda must not postpone them with `from __future__ import annotations`.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple, get_type_hints


class Rule(NamedTuple):
    """What a value may be: the words that follow "must be", and the test of a value."""

    allowed: str
    test: Callable[[Any], bool]


def rules(record: object) -> Iterator[tuple[str, Any, Rule]]:
    """Name, value and rule of each field of a dataclass whose annotation has a rule, in the order of the fields."""
    for name, rule in _rules_of(type(record)):  # type: ignore[arg-type]
        yield name, getattr(record, name), rule


# Annotations do not change, and reading them takes longer than all tests of a value.
@cache
def _rules_of(kind: type) -> tuple[tuple[str, Rule], ...]:
    return tuple(
        (name, rule)
        for name, hint in get_type_hints(kind, include_extras=True).items()
        for rule in getattr(hint, "__metadata__", ())
        if isinstance(rule, Rule)
    )
