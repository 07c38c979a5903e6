"""Several banks: at which one each firm applies, and which firms have an account at a second one.

The banks of an economy divide the customers of its one bank among them. A firm's records at the bank at which it
applies are those that the one bank would have, so the banks' records together tell what the one bank knows.
"""

from __future__ import annotations

import difflib
import math
import string
from dataclasses import dataclass

import numpy as np

from fl.errors import ConfigError
from synthetic_data.roster import Roster

SKEWS = ("none", "region", "sector")
"""By what firms may choose their bank: by chance, or by where or in what business they are."""
BY_CHANCE = 0.25
"""Share of firms that choose by chance where the others choose by region or sector."""
SECOND_ACCOUNT = 0.30
"""Share of firms that have a second bank."""
MINIMUM_APPLICANTS = 20
"""Applicants that each of several banks has to have."""


@dataclass(frozen=True)
class Banks:
    """The banks of an economy.

    Attributes:
        shares: of the applicants, one for each bank; they add up to 1.
        skew: one of ``SKEWS``.

    Raises:
        ConfigError: more than 26 banks, a share that is not positive, shares that do not add up to 1, an unknown skew,
            or a skew with one bank.

    >>> Banks((0.7, 0.2, 0.1), skew="region").names
    ('bank_a', 'bank_b', 'bank_c')
    """

    shares: tuple[float, ...] = (1.0,)
    skew: str = "none"

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        if not 1 <= len(self.shares) <= len(string.ascii_lowercase):
            raise ConfigError(f"An economy has 1 to 26 banks; {len(self.shares)} were asked for.")
        told = ", ".join(f"{share:g}" for share in self.shares)
        if not all(share > 0 for share in self.shares) or not math.isclose(sum(self.shares), 1, abs_tol=1e-9):
            raise ConfigError(f"The banks' shares have to be positive and add up to 1; they are {told}.")
        if self.skew not in SKEWS:
            near = difflib.get_close_matches(self.skew, SKEWS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"Firms cannot choose their bank by {self.skew!r}.{hint} The skew is one of: {', '.join(SKEWS)}."
            )
        if len(self.shares) == 1 and self.skew != "none":
            raise ConfigError(
                f"One bank has all firms, so none chooses by {self.skew}; ask for several banks."
            )

    def __len__(self) -> int:
        """Number of banks."""
        return len(self.shares)

    @property
    def names(self) -> tuple[str, ...]:
        """Their folders in the dataset."""
        if len(self) == 1:
            return ("bank",)
        return tuple(f"bank_{letter}" for letter in string.ascii_lowercase[: len(self)])

    def check_applicants(self, count: int) -> None:
        """Refuse a number of applicants of which a bank gets too few. Raises `ConfigError`."""
        applicants = np.diff(self._ends(count), prepend=0)
        smallest = int(applicants.argmin())
        if len(self) > 1 and applicants[smallest] < MINIMUM_APPLICANTS:
            raise ConfigError(
                f"{self.names[smallest]} would have {applicants[smallest]} of {count} applicants, and each of several "
                f"banks needs {MINIMUM_APPLICANTS}; ask for more applicants, or give it a larger share."
            )

    def _ends(self, count: int) -> np.ndarray:
        """How many of ``count`` applicants go to the banks up to each one, (banks,)."""
        return np.round(np.cumsum(self.shares) * count).astype(np.int64)

    def choose(self, roster: Roster, rng: np.random.Generator) -> Customers:
        """Let every applicant of the roster choose the bank at which it applies, and some a second one."""
        applicants = np.flatnonzero(roster.applicant)
        first, second = np.full((2, len(roster)), -1, dtype=np.int8)
        if len(self) == 1:
            first[applicants] = 0
            return Customers(first, second)
        # Applicants stand in a line, those of a region (or sector) side by side, and the banks take them in turn.
        groups = {"none": np.zeros(len(roster)), "region": roster.firms.region, "sector": roster.firms.sector}
        line = groups[self.skew][applicants] + rng.random(len(applicants))
        place = np.argsort(np.argsort(line, kind="stable"), kind="stable")
        moved = np.flatnonzero(rng.random(len(applicants)) < BY_CHANCE)
        place[moved] = place[rng.permutation(moved)]
        first[applicants] = np.searchsorted(self._ends(len(applicants)), place, side="right")
        others = np.where(first[applicants, None] == np.arange(len(self)), 0, self.shares).cumsum(axis=1)
        drawn = (rng.random(len(applicants))[:, None] * others[:, -1:] >= others).sum(axis=1)
        has_two = rng.random(len(applicants)) < SECOND_ACCOUNT
        second[applicants[has_two]] = drawn[has_two]
        return Customers(first, second)


@dataclass(frozen=True)
class Customers:
    """Which firms of the roster have accounts at which banks, as numbers of banks; -1 is none.

    Attributes:
        first: (businesses,) int8, the bank at which the firm applies; -1 for strangers.
        second: (businesses,) int8, another bank that it has.
    """

    first: np.ndarray
    second: np.ndarray
