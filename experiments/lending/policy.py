"""A bank's lending policy, and where its table has the cash flow of a business; both are read from a TOML file."""

import tomllib
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from fl.errors import ConfigError
from fl.tables import Table

CHOICES = ("profit", "approval-rate", "bad-rate", "none")
EQUAL = ("approval-rate", "true-positive-rate")
Grades: TypeAlias = tuple[tuple[float, float], ...]
DEFAULT = Path(__file__).with_name("policy.toml")
_NAMES = {
    "cut-off": {
        "choose": "choose",
        "target": "target",
        "maximum-pd": "maximum_pd",
        "groups": "groups",
        "equal": "equal",
    },
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
class Policy:
    """A lending policy.

    choose              how the cut-off is found on validation rows: at the largest expected `profit`, or at the
                        `approval-rate` or `bad-rate` of `target`; with `none` it is maximum_pd
    target              the share of the applicants to approve, or of bads among the approved
    maximum_pd          nobody with a higher PD is approved, however the cut-off is found
    groups              a segment or sensitive column of the bank; the report also tries a cut-off for each of its
                        groups; empty: none
    equal               what those cut-offs make equal among validation rows: the `approval-rate` of the groups, or
                        their `true-positive-rate`, the share of good payers who are approved
    grades              by rising PD, each with its highest PD and the line as a share of a year's cash flow, which
                        is no larger than that of the grade before; a PD above the last grade belongs to the last
    minimum_line        smallest line, CNY; who would get less gets this
    maximum_line        largest line, CNY
    loss_given_default  share of the line that is lost when its borrower defaults
    funding_cost        what the bank pays for the money, per year
    margin              what the bank wants above expected loss and funding, per year
    maximum_price       the highest price, per year
    operating_cost      of one loan, CNY per year

    Raises ConfigError for a value out of range.
    """

    choose: str = "profit"
    target: float = 0.0
    maximum_pd: float = 1.0
    groups: str = ""
    equal: str = "approval-rate"
    grades: Grades = ((0.01, 0.12), (0.02, 0.10), (0.04, 0.08), (1.0, 0.05))
    minimum_line: float = 20_000.0
    maximum_line: float = 1_000_000.0
    loss_given_default: float = 0.60
    funding_cost: float = 0.022
    margin: float = 0.010
    maximum_price: float = 0.055
    operating_cost: float = 1_000.0

    def __post_init__(self) -> None:
        _require(self.choose in CHOICES, "choose", ", ".join(CHOICES), self.choose)
        _require(self.equal in EQUAL, "equal", " or ".join(EQUAL), self.equal)
        for name in ("target", "maximum_pd", "loss_given_default"):
            _require(0 <= getattr(self, name) <= 1, name, "from 0 to 1", getattr(self, name))
        for name in ("funding_cost", "margin", "maximum_price", "operating_cost", "minimum_line"):
            _require(0 <= getattr(self, name) < float("inf"), name, "0 or more", getattr(self, name))
        _require(
            self.minimum_line <= self.maximum_line < float("inf"),
            "maximum_line",
            f"{self.minimum_line:g} (minimum-line) or more",
            self.maximum_line,
        )
        _require(len(self.grades) > 0, "grades", "one grade or more", self.grades)
        ends, shares = np.array(self.grades, dtype=np.float64).T
        _require(
            (np.diff(ends) > 0).all() and ends[0] > 0 and ends[-1] <= 1,
            "grades",
            "of rising PD, above 0 and up to 1",
            self.grades,
        )
        _require(
            (np.diff(shares) <= 0).all() and shares[-1] >= 0 and shares[0] < float("inf"),
            "grades",
            "of shares of 0 or more that do not rise with the PD",
            self.grades,
        )

    def check(self, segments: tuple[str, ...]) -> None:
        """Raises ConfigError when the bank has no segment or sensitive column of the name in `groups`."""
        if self.groups not in ("", *segments):
            raise ConfigError(
                f"The policy's groups must be a segment or sensitive column of the bank ({', '.join(segments)}), "
                f"not {self.groups!r}."
            )


@dataclass(frozen=True)
class CashFlow:
    """Where to find a business's mean monthly cash flow.

    column  numeric column of the bank's table; if empty, every business has the usual cash flow
    scale   `log` if the column is log(1 + CNY), `linear` if it is CNY
    usual   CNY a month where there is no column

    Raises ConfigError for a value out of range.
    """

    column: str = ""
    scale: str = "log"
    usual: float = 100_000.0

    def __post_init__(self) -> None:
        _require(self.scale in ("log", "linear"), "cash-flow scale", "log or linear", self.scale)
        _require(0 <= self.usual < float("inf"), "usual cash flow", "0 or more", self.usual)

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
    """The policy of a file; a key that it leaves out is as in `policy.toml` beside this module.

    Raises ConfigError, which names the file, for a file that is no TOML, an unknown key (with the nearest known one),
    and a value of the wrong type or out of range.
    """
    values = _values(DEFAULT) | _values(path)
    cash_flow = {item.name: values.pop(item.name) for item in fields(CashFlow)}
    try:
        return Policy(**values), CashFlow(**cash_flow)
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
        names = _NAMES[_known(section, _NAMES, path, "section")]
        if not isinstance(keys, dict):
            raise ConfigError(f"{path}: {section} must be a section, written [{section}].")
        for key, value in keys.items():
            name = names[_known(key, names, path, f"key in [{section}]")]
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
    kind = _TYPES[name]
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise ConfigError(f"{where} must be {_WORDS[kind]}, not {value!r}.") from None


_TYPES = get_type_hints(Policy) | get_type_hints(CashFlow)
_WORDS = {float: "a number", str: "text", Grades: "pairs of numbers [highest PD, share]"}


def _require(condition: bool | np.bool_, name: str, allowed: str, value: object) -> None:
    if not condition:
        raise ConfigError(f"The policy's {name.replace('_', '-')} must be {allowed}, not {value!r}.")
