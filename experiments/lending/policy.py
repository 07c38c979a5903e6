"""A lending policy from its TOML file, and where a bank's table tells cash flow."""

import tomllib
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.lending.decisions import Policy
from fl.errors import ConfigError
from fl.tables import Table

DEFAULT = Path(__file__).with_name("policy.toml")
_NAMES = {
    "cut-off": {"choose": "choose", "target": "target", "maximum-pd": "maximum_pd"},
    "line": {"grades": "grades", "minimum": "minimum_line", "maximum": "maximum_line"},
    "price": {
        "loss-given-default": "loss_given_default",
        "funding-cost": "funding_cost",
        "margin": "margin",
        "maximum": "maximum_price",
        "operating-cost": "operating_cost",
    },
    "cash-flow": {"column": "column", "scale": "scale", "usual": "usual"},
}


@dataclass(frozen=True)
class CashFlow:
    """Where to find a business's mean monthly cash flow.

    column  numeric column of the bank's table; empty: everybody has the usual one
    scale   `log`: the column is log(1 + CNY); `linear`: it is CNY
    usual   CNY a month where there is no column
    """

    column: str = ""
    scale: str = "log"
    usual: float = 100_000.0

    def __post_init__(self) -> None:
        if self.scale not in ("log", "linear"):
            raise ConfigError(f"The policy's cash-flow scale must be log or linear, not {self.scale!r}.")
        if not 0 <= self.usual < float("inf"):
            raise ConfigError(f"The policy's usual cash flow must be 0 or more, not {self.usual!r}.")

    def check(self, numeric_names: tuple[str, ...]) -> None:
        """Raises ConfigError when the column is not among the bank's numeric ones."""
        if self.column and self.column not in numeric_names:
            raise ConfigError(
                f"The bank has no numeric column {self.column!r}, which the policy names as cash flow. It has "
                f"{', '.join(numeric_names)}. Name one of them in a file for --policy, or none by an empty text."
            )

    def of(self, bank: Table) -> NDArray[np.float64]:
        """Mean monthly cash flow (n,) of the rows of the bank's table, CNY, NaN where unknown.

        Raises ConfigError when the bank has no such numeric column.
        """
        self.check(bank.numeric_names)
        if not self.column:
            return np.full(len(bank), self.usual)
        values = bank.numeric[:, bank.numeric_names.index(self.column)]
        return np.maximum(np.expm1(values) if self.scale == "log" else values, 0.0)


def read_policy(path: Path) -> tuple[Policy, CashFlow]:
    """The policy of a file, in which every key left out is that of `policy.toml` beside this module.

    Raises ConfigError, which names the file, for what is no TOML, an unknown key (with the nearest known one), a value
    of the wrong type or one out of range.
    """
    values = _values(DEFAULT) | _values(path)
    own = {item.name for item in fields(CashFlow)}
    try:
        return (
            Policy(**{name: value for name, value in values.items() if name not in own}),
            CashFlow(**{name: value for name, value in values.items() if name in own}),
        )
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _values(path: Path) -> dict[str, Any]:
    """The fields that a file gives values for."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError:
        raise ConfigError(f"There is no policy file {path}.") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML in UTF-8: {error}.") from None
    values = {}
    for section, keys in content.items():
        known = _NAMES[_known(section, _NAMES, path, "section")]
        if not isinstance(keys, dict):
            raise ConfigError(f"{path}: {section} must be a section, written [{section}].")
        for key, value in keys.items():
            name = known[_known(key, known, path, f"key in [{section}]")]
            values[name] = _checked(value, name, f"{path}: {key} in [{section}]")
    return values


def _known(word: str, known: dict[str, Any], path: Path, kind: str) -> str:
    if word not in known:
        near = get_close_matches(word, known, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(known)}."
        raise ConfigError(f"{path}: there is no {kind} {word!r}. {hint}")
    return word


def _checked(value: object, name: str, where: str) -> object:
    """The value in the type that its field has."""
    if name == "grades":
        pairs = isinstance(value, list) and all(
            isinstance(pair, list) and len(pair) == 2 and all(_is_number(part) for part in pair)
            for pair in value
        )
        if not pairs:
            raise ConfigError(f"{where} must be pairs of numbers [highest PD, share], not {value!r}.")
        return tuple((float(end), float(share)) for end, share in value)
    if name in ("choose", "column", "scale"):
        if not isinstance(value, str):
            raise ConfigError(f"{where} must be text, not {value!r}.")
        return value
    if not _is_number(value):
        raise ConfigError(f"{where} must be a number, not {value!r}.")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
