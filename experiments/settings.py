"""Settings from the command line, such as `network.noise=8.0`."""

import tomllib

from fl.config import Scalar
from fl.errors import ConfigError


def parse_settings(words: list[str]) -> dict[str, Scalar]:
    """`name=value` words as a flat mapping; a value is TOML's (8, 0.5, true) or else text.

    Raises ConfigError for a word without an equals sign.
    """
    settings: dict[str, Scalar] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"A setting is written name=value; {word!r} has no equals sign.")
        settings[name.strip()] = _value(value.strip())
    return settings


def _value(text: str) -> Scalar:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, bool | int | float | str) else text
