"""What is typed on the command line: settings such as `network.noise=8.0`, and lists."""

import tomllib

from fl.config.checks import Scalar
from fl.errors import ConfigError

_MADE_ELSEWHERE = {
    **{name: f"use the option --{name}" for name in ("data", "parties", "contenders", "seeds", "experiment")},
    "tracking-uri": "use the option --store",
    "world": "it is the dataset's",
    "joins": "use the option --join",
    "newcomer": "use the option --bank",
    **dict.fromkeys(("task", "study", "parent-run", "progress"), "the command sees to it"),
    **dict.fromkeys(("model", "model-run", "model-data", "applicants"), "use the command `siloscore score`"),
}


def parse_settings(words: list[str]) -> dict[str, Scalar]:
    """`name=value` words as a flat mapping; a value is TOML's (8, 0.5, true) or else text.

    Raises ConfigError for a word without an equals sign, and for a setting that the command makes itself.
    """
    settings: dict[str, Scalar] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"A setting is written name=value; {word!r} has no equals sign.")
        name = name.strip()
        if name in _MADE_ELSEWHERE:
            raise ConfigError(f"Setting {name!r} cannot be --set: {_MADE_ELSEWHERE[name]}.")
        settings[name] = _value(value.strip())
    return settings


def words(text: str) -> tuple[str, ...]:
    """The words of a list that is written with commas.

    >>> words("tax, court,")
    ('tax', 'court')
    """
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _value(text: str) -> Scalar:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, bool | int | float | str) else text
