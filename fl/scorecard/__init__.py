"""A scorecard over columns that several parties keep to themselves: logistic regression on grouped bins, in points.

The bank, which alone has labels, groups every column's bins by the goods and bads in them, of which it learns encrypted
sums; a passive party's columns are numbers to it. Then all fit one logistic regression: the bank its own block, each
passive party its own by the encrypted residual, summed by group and revealed to that party alone (`encrypted_sums`).
Residuals are whole numbers and sums exact, so the scorecard equals the one of the joined table under every engine
(`experiments/baselines/scorecard.py`). At last every party holds points for its own groups, and a score is their sum.

The parts: `grouping` (bins to groups), `design` (one-hot columns), `cone` (signs), `regression` (a block's step),
`mixing` (Anderson's), `solver` (the bank's way through the exchanges), `bank` (the bank's own columns), `points`
(points and reasons), `values` (groups in words), `card` (what is told of the whole).

Protocol `scorecard/1`; E exchanges, at most `scorecard.exchanges`:

1. `StartRequest` → `Started`, passive parties: bins of the training rows.
2. `BeginRequest` → `Begun`, the bank: a key, and encrypted labels.
3. `CountRequest` → `Counted`, passive parties: sums of the labels by bin.
4. `GroupRequest` → `Solved`, the bank: groups, and the first encrypted residual.
5. An exchange: `GradientRequest` → `Masked`, passive parties: sums of the residual by group, under a mask;
   `OpenRequest` → `Opened`, the bank: decrypts what the masks hide from it; `StepRequest` → `Stepped`, passive parties:
   the gradient, a step, and partial scores; `SolveRequest` → `Solved`, the bank: its own block, where to go from the
   steps so far (Anderson mixing: coefficients that all parties apply to their own), and the residual there.
6. `FinishRequest` → `Finished`, passive parties: points by group, which the party keeps, and what its card may tell.
7. Evaluation, any number of rows in two round trips: `PointsRequest` → `Points`, passive parties, and then
   `ScoreRequest` → `Scored`, the bank. Applicants get the same `Points` by `scoring/1` (`fl/scoring.py`).

Round trips: 7 + 4 · E; the bank alone: 3. What is masked has to come back opened before a party can step, so an
exchange takes two visits to either side. Parties none of whose columns is worth its place are left out from 5 on.

A business that a party does not know is in none of its groups: the bank, which knows who knows whom, has a column for
that, with points of its own, for each passive party.

What each receiver sees:

- a passive party: sums of the residual over each of its groups at every exchange. In the first the bank has only its
  own columns to go by, so a party can estimate the bads of each of its groups, and knows them exactly where these say
  nothing. No group has fewer than `min_group` goods or bads. Also: which of its bins are alike in risk;
- the bank: goods and bads of each anonymous bin; **the partial score of every row after each step**; inner products of
  steps; at the end the points of each group, and which values it holds if the party publishes that; in scoring the
  points of every row, and up to four codes of columns with points lost there;
- the coordinator: what crosses it and is not encrypted: groups by number, partial scores and points by position.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

VERSION = "scorecard/1"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class StartRequest:
    """Asks a passive party to bin its columns by the training rows; roles is int8 (n,)."""

    seed: int
    roles: Array


@dataclass(frozen=True)
class Started:
    """The `Shape` of the party's columns, and int64 (all bins,): how many training rows are in each bin."""

    shape: Mapping[str, Array]
    counts: Array


@dataclass(frozen=True)
class BeginRequest:
    """Asks the bank for its encrypted labels.

    parties are the passive ones in order; shapes theirs, `nested`; counts, by party, as in `Started`.
    """

    seed: int
    roles: Array
    parties: tuple[str, ...]
    shapes: Mapping[str, Array]
    counts: Mapping[str, Array]


@dataclass(frozen=True)
class Begun:
    """The bank's public key, and the encrypted labels of the training rows."""

    public_key: Mapping[str, Array]
    encrypted: Mapping[str, Array]


@dataclass(frozen=True)
class CountRequest:
    """For a passive party: what `Begun` says."""

    public_key: Mapping[str, Array]
    encrypted: Mapping[str, Array]


@dataclass(frozen=True)
class Counted:
    """The labels summed by bin and one more for the rows that the party does not know: a reply of `encrypted_sums`."""

    sums: Mapping[str, Array]


@dataclass(frozen=True)
class GroupRequest:
    """For the bank: what the passive parties counted, `nested`."""

    sums: Mapping[str, Array]


@dataclass(frozen=True)
class Solved:
    """Where the bank stands after t exchanges.

    finished   training has ended: each party's last step gave its final weights
    groups     after no exchange: of each passive party, `Grouping.groups`
    mix        float64 (t,): coefficients of the parties' weights after each step; together, where the residual is
    encrypted  that residual in the training rows
    exchanges  t; with the length of the last step, and log loss on training rows, AUC and log loss on validation rows
    """

    finished: bool
    groups: Mapping[str, Array]
    mix: Array
    encrypted: Mapping[str, Array]
    exchanges: int
    length: float
    train_loss: float
    validation_auc: float
    validation_loss: float


@dataclass(frozen=True)
class GradientRequest:
    """For a passive party: what concerns it of `Solved`; groups only before the first exchange."""

    groups: Array
    mix: Array
    encrypted: Mapping[str, Array]


@dataclass(frozen=True)
class Masked:
    """The residual summed by group (and over unknown rows) under a mask: a masked reply of `encrypted_sums`."""

    sums: Mapping[str, Array]


@dataclass(frozen=True)
class OpenRequest:
    """For the bank: the masked sums of the parties, `nested`."""

    sums: Mapping[str, Array]


@dataclass(frozen=True)
class Opened:
    """The same opened, `nested`: random numbers to whoever does not hold the masks."""

    opened: Mapping[str, Array]


@dataclass(frozen=True)
class StepRequest:
    """For a passive party: its own sums, opened."""

    opened: Mapping[str, Array]


@dataclass(frozen=True)
class Stepped:
    """After a party's step number t.

    scores    float64 (k,): partial scores of the rows that train or validate and that the party knows
    products  float64 (t,): inner products of the step with each step so far
    """

    scores: Array
    products: Array


@dataclass(frozen=True)
class SolveRequest:
    """For the bank: every party's `Stepped`."""

    scores: Mapping[str, Array]
    products: Mapping[str, Array]


@dataclass(frozen=True)
class FinishRequest:
    """Tells a passive party that its last step was the final one."""


@dataclass(frozen=True)
class Finished:
    """The party holds its points. Of each of its k columns that have points:

    columns    int64 (k,): its number
    points     int64 (g,): those of its groups, column by column
    values     text (g,): which values each group stands for; all empty if the party keeps that to itself
    stability  float64 (k,): population stability index of its groups, test against training rows
    reasons    text (k,): what a customer who loses points there is told
    reasons_zh text (k,): the same in Chinese
    """

    columns: Array
    points: Array
    values: Array
    stability: Array
    reasons: Array
    reasons_zh: Array


@dataclass(frozen=True)
class PointsRequest:
    """Asks a passive party for the points of every position."""


@dataclass(frozen=True)
class Points:
    """Of every position; one that the party does not know has no points and no reasons.

    points   int32 (n,): the party's points
    reasons  int16 (n, 4): numbers of the columns that lose most, −1 for none
    lost     int32 (n, 4): points lost there, against the column's best group
    """

    points: Array
    reasons: Array
    lost: Array


@dataclass(frozen=True)
class ScoreRequest:
    """For the bank: what the parties said of their columns (`Finished`) and of the rows (`Points`), both `nested`."""

    columns: Mapping[str, Array]
    rows: Mapping[str, Array]
