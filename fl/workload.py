"""What training will take, as a protocol says it by settings and sizes before anything runs.

The coordinator's half of a conversation that trains offers `plan(config, sizes) -> Plan`: how many round trips a
round takes, how many bytes travel, and which sums are taken under encryption. What that costs on a machine is a matter
of measurement (`experiments/estimate`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.encrypted_sums.packing import Packing


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What is known of a study's data before it runs.

    training, validation, test   rows of each role
    bank_columns                 columns of the label holder
    columns                      by passive party, how many values each of its columns has, as far as they were counted
    known                        by passive party, the share of the rows that it knows
    """

    training: int
    validation: int
    test: int
    bank_columns: int
    columns: Mapping[str, tuple[int, ...]]
    known: Mapping[str, float]

    def bins(self, most: int) -> dict[str, NDArray[np.int64]]:
        """By passive party, the bins of each of its columns, int64 (c,), where a column has `most` of them at most."""
        return {party: np.minimum(values, most, dtype=np.int64) for party, values in self.columns.items()}

    @property
    def passive_columns(self) -> int:
        """How many columns all passive parties have."""
        return sum(map(len, self.columns.values()))

    @property
    def rows(self) -> int:
        """All rows."""
        return self.training + self.validation + self.test

    @property
    def learned(self) -> int:
        """The rows that train or validate."""
        return self.training + self.validation

    @property
    def known_share(self) -> float:
        """Of how many rows a position is to all passive parties together: the sum of their shares."""
        return sum(self.known.values())


@dataclass(frozen=True, kw_only=True)
class EncryptedSums:
    """One request of encrypted sums (`fl/encrypted_sums`).

    rows    how many rows the label holder lists, in so many groups of near-equal size
    bins    by responder, int64 (c,): the bins of each of its columns
    again   the responders have these rows already, if the engine encrypts row by row
    masked  the sums are revealed to the responder, so that they come back once more
    """

    rows: int
    groups: int
    bins: Mapping[str, NDArray[np.int64]]
    again: bool = False
    masked: bool = False

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where the groups begin and end, int64 (groups + 1,)."""
        return np.linspace(0, self.rows, self.groups + 1).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What parties do together once, or in each round.

    rows     on which they work beside the sums: costs that grow with rows grow with these
    letters  bytes of all letters but ciphertexts, counted at their sender and at each receiver
    """

    round_trips: int
    rows: float
    letters: float
    sums: tuple[EncryptedSums, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The training of one model: what comes once, and what comes in each of as many rounds as there usually are.

    engine   of the encrypted sums, and packing: what it may be asked for; none without encryption
    keys     how many public keys of the engine the label holder sends to each passive party
    """

    rounds: int
    once: Workload
    each: Workload
    engine: str = ""
    packing: Packing | None = None
    keys: int = 0

    @property
    def round_trips(self) -> int:
        """All of them, in as many rounds as there usually are."""
        return self.once.round_trips + self.rounds * self.each.round_trips


def sampled(bins: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """The bins (c,) of so many of a party's columns, at least one, that stand for all of them: many bins and few."""
    count = max(1, round(share * len(bins)))
    return np.sort(bins)[::-1][np.arange(count) * len(bins) // count]
