"""What a setting may be, as annotations of the fields of a configuration, and its name as the user writes it."""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

from fl.errors import ConfigError
from fl.rules import Rule, rules

Scalar: TypeAlias = bool | int | float | str


def at_least(least: int) -> Rule:
    """Whole numbers from `least` upwards."""
    return Rule(f"{least} or more", lambda value: value >= least)


def between(least: int, most: int) -> Rule:
    """Whole numbers from `least` to `most`, both included."""
    return Rule(f"from {least} to {most}", lambda value: least <= value <= most)


def one_of(*words: str) -> Rule:
    """One of at least two words."""
    return Rule(f"{', '.join(words[:-1])} or {words[-1]}", lambda value: value in words)


def is_positive(number: float) -> bool:
    """Whether a number is above zero and finite."""
    return 0 < number < float("inf")


def is_distinct(values: tuple[Any, ...]) -> bool:
    """Whether no value stands twice."""
    return len(values) == len(set(values))


Count: TypeAlias = Annotated[int, at_least(1)]
Positive: TypeAlias = Annotated[float, Rule("positive", is_positive)]
NotNegative: TypeAlias = Annotated[float, Rule("0 or more", lambda value: 0 <= value < float("inf"))]
Share: TypeAlias = Annotated[float, Rule("in (0, 1]", lambda value: 0 < value <= 1)]
BelowOne: TypeAlias = Annotated[float, Rule("in [0, 1)", lambda value: 0 <= value < 1)]
ProperShare: TypeAlias = Annotated[float, Rule("between 0 and 1", lambda value: 0 < value < 1)]
Engine: TypeAlias = Annotated[str, one_of("lattice", "paillier", "plain")]
Names: TypeAlias = Annotated[tuple[str, ...], Rule("distinct names", is_distinct)]
AbsolutePath: TypeAlias = Annotated[
    str,
    Rule(
        "an absolute path, since Flower runs the apps in another folder",
        lambda value: not value or Path(value).is_absolute(),
    ),
]


def check(settings: object, section: str = "") -> None:
    """Raises ConfigError, which says what is allowed, unless every field keeps the rule of its annotation."""
    for name, value, rule in rules(settings):
        require(rule.test(value), section + setting_name(name), rule.allowed, written(value))


def require(condition: bool, setting: str, allowed: str, value: object) -> None:
    """Raises ConfigError, which says what is allowed, unless the condition holds."""
    if not condition:
        raise ConfigError(f"Setting {setting!r} must be {allowed}, not {value!r}.")


def written(value: Any) -> Scalar:
    """A setting as the user writes it: lists are texts with commas."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def setting_name(name: str) -> str:
    """A field's name as that of a setting."""
    return name.replace("_", "-")
