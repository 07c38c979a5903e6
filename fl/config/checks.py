"""What a setting may be, and its name as the user writes it."""

from fl.errors import ConfigError


def require(condition: bool, setting: str, allowed: str, value: object) -> None:
    """Raises ConfigError, which says what is allowed, unless the condition holds."""
    if not condition:
        raise ConfigError(f"Setting {setting!r} must be {allowed}, not {value!r}.")


def positive(number: float) -> bool:
    """Whether a number is above zero and finite."""
    return 0 < number < float("inf")


def setting_name(name: str) -> str:
    """A field's name as that of a setting."""
    return name.replace("_", "-")
