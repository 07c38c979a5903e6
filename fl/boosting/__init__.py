"""Gradient-boosted trees over columns that several parties keep to themselves, without loss.

SecureBoost (Cheng et al., "SecureBoost: A Lossless Federated Learning Framework", IEEE Intelligent Systems 2021) on
encrypted sums: the bank, which alone has labels and so gradients, encrypts them; a passive party adds them up by the
bins of its columns; the bank opens the sums and chooses splits. It sees a passive party's columns as anonymous
numbers, the party keeps their names, cuts and levels; leaf weights stay at the bank. Gradients are whole numbers and
sums exact, so the forest equals the one grown on the joined table, bit for bit, under every engine
(`experiments/baselines/boosting.py`).

The parts: `merging` (of small bins), `gradients`, `search` (of a node's split), `layouts`
(what is encrypted), `padding` (of sides), `growth` and `growing` (the bank's half), `forest` (the result).

Conversation `boosting/1`:

All trees of a round (`boosting.parallel`) grow together in the same messages, on the same gradients.

1. `StartRequest` → `Started`, passive parties: bins of the training rows; then `BeginRequest` → `Demanded`, the bank.
2. `GrowRequest` → `Grown`, passive parties: make the splits that the bank chose, and in the same message the sums for
   the next ones. Where another passive party splits a node, the coordinator passes on the padded sides of its rows,
   and the bank what opens them in that node (`padding`). If sides are not handed over in advance, `SumRequest` →
   `Grown` takes the letters that say where rows went, and asks for the sums in a round trip of its own.
3. `SplitRequest` → `Demanded`, the bank: the next splits, and the gradients for the sums after them. Where a round is
   one tree, those of the next one travel with the last splits of this one (`layouts`), so a tree begins without a
   message of its own. Back to 2, until the bank answers `Ended`.
4. `FinishRequest` → `Finished`, passive parties.
   Between two messages the coordinator needs the parties' last replies and the padded sides, which come with the first
   `Grown` and again whenever it asks for them: `SidesRequest` → `HandedOver`, passive parties.
5. Scoring, any number of rows in two round trips: `OutcomesRequest` → `Told`, passive parties, and then
   `ScoreRequest` → `Scored`, the bank.

Round trips: at most 7 + (2 · depth + 2) · rounds, and 7 + 2 · depth · rounds where a round is one tree. Gradients sent
ahead of the splits that decide which of them count are more than sums need. The setting `boosting.ahead` trades:
`level` keeps to the levels of a tree (2 · depth + 2 round trips per round), `none` encrypts only what counts (at most
4 · depth). With several passive parties and without `boosting.sealed-sides` it is at most 3 · depth (one tree only),
3 · depth + 1 and 4 · depth per round.

What each receiver sees:

- a passive party: which rows that train or validate are in which node of a tree, but not by what column of another it
  came to that; its own splits, and which child of a split is lighter; encrypted gradients; where sides are handed
  over, which splits of others send the same bins left;
- the bank: at the end, of each column that a tree uses, what a customer is told by it, if the party's policy allows
  that; of each node the sums per bin of each anonymous column, which splits would leave a child too few rows, and
  for every split the side of the rows in its node; in scoring, for every split the side of every test row;
- the coordinator: how many trees there are and how good they are; how many splits each passive party makes at a level
  and, where sides are handed over, of how many of its bins, by number; sides under a pad. It opens no letter.

A sum over few rows would tell the bank in which bin they are, so a party merges bins that have fewer than
`min_bin_count` rows in a node. Labels have no part in row sampling; the order of positions is drawn by the bank alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.binning import Shape
from fl.boosting.forest import Splits
from fl.evaluation import Fit, Scored
from fl.messages import (
    Aggregate,
    Ciphertext,
    Count,
    Padded,
    PerRow,
    PublicKey,
    Reader,
    Request,
    Setting,
    ToLabelHolder,
    ToParties,
    ToPassive,
    request,
)
from fl.records import Array
from fl.splits import Split

NOBODY, THE_BANK, YOU, ANOTHER = -1, 0, 1, 2
"""Who splits a node, as a passive party is told."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the bank is told of a party's columns, and the public key of the pad over its sides, uint8 (32,), if any."""

    shape: Aggregate[Shape]
    pad_key: PublicKey[Array] | None


@dataclass(frozen=True)
class Started:
    """The party has binned its columns."""

    columns: ToLabelHolder[Columns]


@request("start", to=Reader.PASSIVE)
@dataclass(frozen=True, kw_only=True)
class StartRequest(Request[Started]):
    """Asks a passive party to bin its columns by the training rows."""

    seed: Setting[int]
    split: ToParties[Split]


@request("start_common", to=Reader.PASSIVE)
@dataclass(frozen=True, kw_only=True)
class CommonStartRequest(Request[Started]):
    """The same for one of several banks: the bins are those of what the party knows of the rows of all of them.

    studies are the banks' sub-studies, this one included. Labels and the roles of rows have no part in common bins.
    """

    seed: Setting[int]
    split: ToParties[Split]
    studies: Setting[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The bank's public keys: of the encryption and, where sides are handed over, of the pads, uint8 (32,)."""

    sums: PublicKey[Mapping[str, Array]]
    pad: PublicKey[Array] | None


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all passive parties are to do next; n rows that train or validate, k nodes of the p trees of a round.

    round         the round of which sums are wanted; ahead: of its roots, else of the next level's nodes
    wanted        sums are wanted at all; not after the last splits of the last round
    lighter_left  bool (k,)
    bank_left     uint8 (p, ⌈n/8⌉): packed bits, where the bank's splits send the rows of their nodes
    keys          with the first task only
    """

    round: Count
    ahead: Setting[bool]
    wanted: Setting[bool]
    lighter_left: Aggregate[Array]
    bank_left: PerRow
    keys: Keys | None


@dataclass(frozen=True, kw_only=True)
class Level:
    """What one passive party is told of the k nodes of a level, those of all trees of the round.

    owners  int8 (k,): who splits each: NOBODY, THE_BANK, YOU or ANOTHER
    splits  its own ones, in the order of the nodes
    pad     uint8 (p, ⌈n/8⌉): what opens the sides of other parties' splits in the rows of their nodes, zero elsewhere;
            None if there are none, or sides are not handed over
    """

    owners: Aggregate[Array]
    splits: Aggregate[Splits]
    pad: Padded | None


@dataclass(frozen=True)
class Gradients:
    """The encrypted gradients and hessians to add up; nothing where an engine needs none sent again within a round."""

    encrypted: Ciphertext


@dataclass(frozen=True)
class Choice:
    """What the coordinator is to pass on of a passive party's split.

    rows  packed bits uint8 (⌈m/8⌉,): the bins that go left, of its padded matrix's m rows
    seed  uint8 (32,): of the split's mask
    """

    party: Setting[str]
    rows: Aggregate[Array]
    seed: Padded


@dataclass(frozen=True, kw_only=True)
class Demanded:
    """What the bank wants next.

    task       for all passive parties; levels: by name what is for each alone
    gradients  for all passive parties, if they are to add up
    waits      those of them that must know first where others send rows
    chosen     where sides are handed over and others need them: the passive parties' splits in the order of the nodes
    trees      how many trees are finished
    fit        of that forest, if the last round of them has just been
    """

    task: ToPassive[Task]
    levels: Mapping[str, ToPassive[Level]]
    gradients: ToPassive[Gradients] | None
    waits: Setting[tuple[str, ...]]
    chosen: tuple[Choice, ...]
    trees: Count
    fit: Fit | None


@dataclass(frozen=True)
class Kept:
    """How many of its splits the forest keeps."""

    splits: Count


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Training has ended after so many trees; by passive party what it keeps, and how the last forest fits."""

    kept: Mapping[str, ToPassive[Kept]]
    trees: Count
    fit: Fit


@request("begin", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True, kw_only=True)
class BeginRequest(Request[Demanded]):
    """Asks the bank for its first demand, by the columns of each passive party."""

    seed: Setting[int]
    split: ToParties[Split]
    columns: Mapping[str, ToLabelHolder[Columns]]


@dataclass(frozen=True)
class Members:
    """Whether a party's splits send the rows of their nodes left: packed bits uint8 (p, ⌈n/8⌉), a row for each tree.

    All splits of a tree in one, since a row is in one node of it, and nothing of rows that are in none of these.
    """

    left: PerRow


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What a passive party has added up for the bank.

    sums        the reply of `encrypted_sums`
    candidates  uint8 (k, ⌈c · width · 4 / 8⌉): packed bits of what `search.allowed` says of each new node
    homes       uint8 (k, c, width): its merged bins (`merging`)
    """

    sums: Ciphertext
    candidates: Aggregate[Array]
    homes: Aggregate[Array]


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A passive party's splits made, and the sums if they are wanted and nothing else has to be known for them.

    sides are those of all its bins under a pad (`padding`), with the first answer where they are handed over. Sums that
    had to wait come with the answer to `SumRequest`, and the members once more.
    """

    members: ToParties[Members]
    sums: ToLabelHolder[Sums] | None
    sides: Padded | None


@request("grow", to=Reader.PASSIVE, after=("start", "start_common", "grow", "add_up"))
@dataclass(frozen=True, kw_only=True)
class GrowRequest(Request[Grown]):
    """For a passive party: what the bank demands of it.

    gradients are for sums that need not wait. sides are the padded ones of other parties' splits in the order of the
    nodes, uint8 (t, ⌈n/8⌉); None if there are none, or they are not handed over.
    """

    task: ToPassive[Task]
    level: ToPassive[Level]
    gradients: ToPassive[Gradients] | None
    sides: Padded | None


@dataclass(frozen=True)
class HandedOver:
    """The same sides as in the first `Grown`."""

    sides: Padded


@request("hand_over", to=Reader.PASSIVE, query=True)
@dataclass(frozen=True)
class SidesRequest(Request[HandedOver]):
    """Asks a passive party for its padded sides once more: a coordinator that has been started anew lacks them."""


@request("add_up", to=Reader.PASSIVE, after=("grow",))
@dataclass(frozen=True)
class SumRequest(Request[Grown]):
    """For a passive party: what to add up, and where the other ones send the rows of the nodes that they split."""

    gradients: ToPassive[Gradients]
    members: Mapping[str, ToParties[Members]]


@request("split", to=Reader.LABEL_HOLDER, after=("begin", "split"), opens=True)
@dataclass(frozen=True, kw_only=True)
class SplitRequest(Request[Demanded | Ended]):
    """For the bank: where the passive parties' splits send rows, and what they have added up, if that was wanted."""

    members: Mapping[str, ToParties[Members]]
    sums: Mapping[str, ToLabelHolder[Sums]]


@dataclass(frozen=True)
class Finished:
    """The party holds its part of the final forest."""


@request("finish", to=Reader.PASSIVE, after=("grow", "add_up"))
@dataclass(frozen=True)
class FinishRequest(Request[Finished]):
    """Tells a passive party how many of its splits the forest keeps."""

    kept: ToPassive[Kept]


@dataclass(frozen=True)
class Outcomes:
    """Packed bits, uint8 (s, ⌈t/8⌉): whether each split of the party sends each of t rows left."""

    outcomes: PerRow


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """What a customer is told by each of a party's c columns, text (c,); empty for columns that no tree uses.

    A party whose policy forbids it tells the same of all of them: that it is a record of the party.
    """

    texts: Setting[Array]
    texts_zh: Setting[Array]


@dataclass(frozen=True, kw_only=True)
class Told:
    """The outcomes of all the party's splits at the test rows, and once what these columns are about."""

    outcomes: ToLabelHolder[Outcomes]
    reasons: ToLabelHolder[Reasons]


@request("outcomes", to=Reader.PASSIVE, after=("finish",))
@dataclass(frozen=True)
class OutcomesRequest(Request[Told]):
    """Asks a passive party for the outcomes of all its splits at the test rows; the bank knows the others' scores."""


@request("score", to=Reader.LABEL_HOLDER, after=("split",))
@dataclass(frozen=True, kw_only=True)
class ScoreRequest(Request[Scored]):
    """For the bank: every passive party's outcomes at the test rows, and the reasons of its columns."""

    outcomes: Mapping[str, ToLabelHolder[Outcomes]]
    reasons: Mapping[str, ToLabelHolder[Reasons]]


def packed(flags: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Truth values (…, n) as bits (…, ⌈n/8⌉).

    >>> packed(np.array([True, False, True]))
    array([160], dtype=uint8)
    """
    return np.packbits(flags, axis=-1)


def unpacked(bits: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    """The inverse of `packed`, for n = count."""
    return np.unpackbits(bits, axis=-1, count=count).astype(bool)
