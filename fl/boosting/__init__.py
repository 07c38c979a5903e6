"""Gradient-boosted trees over columns that several parties keep to themselves, without loss.

SecureBoost (Cheng et al., "SecureBoost: A Lossless Federated Learning Framework", IEEE Intelligent Systems 2021) on
encrypted sums: the bank, which alone has labels and so gradients, encrypts them; a passive party adds them up by the
bins of its columns; the bank opens the sums and chooses splits. It sees a passive party's columns as anonymous
numbers, the party keeps their names, cuts and levels; leaf weights stay at the bank. Gradients are whole numbers and
sums exact, so the forest equals the one grown on the joined table, bit for bit, under every engine
(`experiments/baselines/boosting.py`).

The parts: `merging` (of small bins), `gradients`, `search` (of a node's split), `layouts` (what is encrypted),
`sealing` (of sides), `growth` and `growing` (the bank's half), `forest` (the result).

Protocol `boosting/1`:

1. `StartRequest` → `Started`, passive parties: bins of the training rows; then `BeginRequest` → `Demanded`, the bank.
2. `GrowRequest` → `Grown`, passive parties: make the splits that the bank chose, and in the same message the sums for
   the next ones. Where another passive party splits a node, the coordinator opens its sides (`sealing`). If those are
   not sealed, its outcome comes first, by way of the coordinator, and the sums in a round trip of their own:
   `SumRequest` → `Summed`.
3. `SplitRequest` → `Demanded`, the bank: the next splits, and the gradients for the sums after them. Those of the next
   tree travel with the last splits of this one (`layouts`), so a tree begins without a message of its own. Back to 2,
   until the bank has finished.
4. `FinishRequest` → `Finished`, passive parties.
5. Scoring, any number of rows in two round trips: `OutcomesRequest` → `Outcomes`, passive parties, and then
   `ScoreRequest` → `Scored`, the bank.

Round trips: at most 7 + 2 · depth · trees; the bank alone grows a tree per message: 3 + trees. Gradients sent ahead of
the splits that decide which of them count are more than sums need. The setting `boosting.ahead` trades: `level` keeps
to the levels of a tree (2 · depth + 2 round trips per tree), `none` encrypts only what counts (at most 4 · depth). With
several passive parties whose sides are not sealed it is at most 3 · depth, 3 · depth + 1 and 4 · depth per tree.

What each receiver sees:

- a passive party: which rows that train or validate are in which node of a tree, but not by what column of another it
  came to that; its own splits, and which child of a split is lighter; encrypted gradients;
- the bank: of each node the sums per bin of each anonymous column, which splits would leave a child too few rows, and
  for every split the side of the rows in its node; in scoring, for every split the side of every test row;
- the coordinator: what crosses it and is not encrypted or sealed, so rows by position, splits by number, and no id,
  label, column's name, cut or leaf weight.

A sum over few rows would tell the bank in which bin they are, so a party merges bins that have fewer than
`min_bin_count` rows in a node. Labels have no part in row sampling; the order of positions is drawn by the bank alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = "boosting/1"

Array = np.ndarray[Any, Any]

# Who splits a node, to a passive party.
NOBODY, THE_BANK, YOU, ANOTHER = -1, 0, 1, 2


@dataclass(frozen=True)
class StartRequest:
    """Asks a passive party to bin its columns by the training rows, and perhaps to seal sides; roles is int8 (n,)."""

    seed: int
    roles: Array
    seal: bool


@dataclass(frozen=True)
class Started:
    """The `Shape` of the party's columns, and if sides are to be sealed its public key for that, uint8 (32,)."""

    shape: Mapping[str, Array]
    seal_key: Array


@dataclass(frozen=True)
class BeginRequest:
    """Asks the bank for its first demand. parties are the passive ones in order; shapes theirs, `nested`.

    seal_keys are their public keys if sides are sealed, else empty.
    """

    seed: int
    roles: Array
    parties: tuple[str, ...]
    shapes: Mapping[str, Array]
    seal_keys: Mapping[str, Array]


@dataclass(frozen=True)
class Demanded:
    """What the bank wants next (`growth.Demand`); k nodes, n rows that train or validate.

    finished      training has ended; what follows is empty
    kept          when finished: how many of its splits each passive party keeps, int64 (parties,)
    tree          the tree of which sums are wanted; ahead: of its root, else of the next level's nodes
    wanted        sums are wanted at all; not after the last splits of the last tree
    owners        int16 (k,): −1 nobody, 0 the bank, p the p-th passive party
    lighter_left  bool (k,)
    columns, left by passive party: `Splits`
    bank_left     uint8: packed bits (n,), where the bank's splits send the rows of their nodes
    pads          by passive party, if sides are sealed: uint8 (s, ⌈n/8⌉), what opens those of its splits
    public_key    of the encryption; with the first demand only, as is seal_key, uint8 (32,) or empty
    encrypted     gradients and hessians
    settled       how many trees stand; with the log loss on training rows, and AUC and log loss on validation rows, of
                  that forest when the last one has just been settled, else NaN
    """

    finished: bool
    kept: Array
    tree: int
    ahead: bool
    wanted: bool
    owners: Array
    lighter_left: Array
    columns: Mapping[str, Array]
    left: Mapping[str, Array]
    bank_left: Array
    pads: Mapping[str, Array]
    public_key: Mapping[str, Array]
    seal_key: Array
    encrypted: Mapping[str, Array]
    settled: int
    train_loss: float
    validation_auc: float
    validation_loss: float


@dataclass(frozen=True)
class GrowRequest:
    """For a passive party: a demand as far as it concerns it.

    owners is int8 (k,) of NOBODY, THE_BANK, YOU and ANOTHER; columns int64 (s,) and left uint8 (s, 32) are its own
    splits in the order of the nodes; members as in `SumRequest`, if sides are sealed. If they are not, it is empty, and
    where there is ANOTHER, `encrypted` comes with a `SumRequest`.
    """

    tree: int
    ahead: bool
    wanted: bool
    owners: Array
    lighter_left: Array
    columns: Array
    left: Array
    bank_left: Array
    members: Array
    public_key: Mapping[str, Array]
    seal_key: Array
    encrypted: Mapping[str, Array]


@dataclass(frozen=True)
class Grown:
    """A passive party's splits made, and the sums if nothing else has to be known for them.

    members     uint8 (⌈n/8⌉,): packed bits, whether the own splits send the rows of their nodes left; all in one, since
                a row is in one node, and nothing of rows that are in none of these
    sums        the reply of `encrypted_sums`; candidates uint8 (k, ⌈c · width · 4 / 8⌉): packed bits of what
                `search.allowed` says of each new node; homes uint8 (k, c, width): its merged bins (`merging`); all
                empty where they are still to come, or not wanted
    sealed      with the first answer: the sealed sides (`sealing`), or empty
    """

    members: Array
    sealed: Array
    sums: Mapping[str, Array]
    candidates: Array
    homes: Array


@dataclass(frozen=True)
class SumRequest:
    """For a passive party: where other ones' splits send rows (`Grown.members`, joined), and the gradients."""

    members: Array
    encrypted: Mapping[str, Array]


@dataclass(frozen=True)
class Summed:
    """As in `Grown`."""

    sums: Mapping[str, Array]
    candidates: Array
    homes: Array


@dataclass(frozen=True)
class SplitRequest:
    """For the bank: what the passive parties answered, each array as in `Grown`; sums `nested`."""

    members: Mapping[str, Array]
    sums: Mapping[str, Array]
    candidates: Mapping[str, Array]
    homes: Mapping[str, Array]


@dataclass(frozen=True)
class FinishRequest:
    """Tells a passive party how many of its splits the forest keeps."""

    splits: int


@dataclass(frozen=True)
class Finished:
    """The party holds its part of the final forest."""


@dataclass(frozen=True)
class OutcomesRequest:
    """Asks a passive party for the outcomes of all its splits at the test rows; the bank knows the others' scores."""


@dataclass(frozen=True)
class Outcomes:
    """Packed bits, uint8 (s, ⌈t/8⌉): whether each split sends each of the t test rows left."""

    outcomes: Array


@dataclass(frozen=True)
class ScoreRequest:
    """For the bank: every passive party's `Outcomes`."""

    outcomes: Mapping[str, Array]


def packed(flags: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Truth values (…, n) as bits (…, ⌈n/8⌉)."""
    return np.packbits(flags, axis=-1)


def unpacked(bits: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    """The inverse of `packed`, for n = count."""
    return np.unpackbits(bits, axis=-1, count=count).astype(bool)
