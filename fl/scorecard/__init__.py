"""A scorecard over columns that several parties keep to themselves: logistic regression on grouped bins, in points.

The bank, which alone has labels, groups every column's bins by the goods and bads in them, of which it learns encrypted
sums; a passive party's columns are numbers to it. Then all fit one logistic regression: the bank its own block, each
passive party its own by the encrypted residual, summed by group and revealed to that party alone (`encrypted_sums`).
Residuals are whole numbers and sums are exact, so the scorecard equals the one of the joined table under every engine
(`experiments/baselines/scorecard.py`). In the end every party holds points for its own groups, and a score is the sum
of all parties' points.

The parts: `grouping` (bins to groups), `design` (one-hot columns), `cone` (signs), `regression` (a block's step),
`mixing` (Anderson's), `solver` (the bank's way through the exchanges), `bank` (the bank's own columns), `points`
(points and reasons), `values` (groups in words), `card` (what is told of the whole).

Conversation `scorecard/1`; E exchanges, at most `scorecard.exchanges`:

1. `StartRequest` → `Started`, passive parties: bins of the training rows.
2. `BeginRequest` → `Begun`, the bank: keys for labels and for residuals, and encrypted labels.
3. `CountRequest` → `Counted`, passive parties: sums of the labels by bin.
4. `GroupRequest` → `Grouped`, the bank: groups, and the first encrypted residual; or `Ended` if no passive party has a
   column worth its place.
5. An exchange: `FitRequest`, from the second exchange on `GradientRequest` → `Masked`, passive parties: sums of the
   residual by group, under a mask; `OpenRequest` → `Opened`, the bank: decrypts what the masks hide from it;
   `StepRequest` → `Stepped`, passive parties: the gradient, a step, and partial scores; `SolveRequest` → `Solved`, the
   bank: its own block, where to go from the steps so far (Anderson mixing: coefficients that all parties apply to their
   own steps), and the residual there; or `Ended`.
6. `FinishRequest` → `Finished`, passive parties: points by group, which the party keeps.
7. Evaluation, any number of rows in two round trips: `PointsRequest` → `Told`, passive parties, the points and what
   the card may tell, and then `ScoreRequest` → `Scored`, the bank. Applicants get the same `Points` by `scoring/1`
   (`fl/scoring.py`).

Round trips: 7 + 4 · E; the bank alone: 3. What is masked has to come back opened before a party can step, so an
exchange takes two visits to either side. A passive party without a column worth its place is left out from 5 on; its
part of the model is no points.

A business that a party does not know is in none of its groups. The bank knows which party knows whom, so it has a
column for that, with points of its own, for each passive party.

What each receiver sees:

- a passive party: sums of the residual over each of its groups at every exchange. The first residual comes from the
  bank's own columns alone, so a party can estimate the bads of each of its groups, and knows them exactly where the
  bank's columns say nothing. None of these groups has fewer than `min_group` goods or bads. A party also sees which
  of its bins are alike in risk;
- the bank: goods and bads of each anonymous bin; **the partial score of every row after each step**; inner products of
  steps; at the end the points of each group, and which values it holds if the party publishes that; in scoring the
  points of every row, and up to four codes of columns with points lost there;
- the coordinator: who has columns worth their place, and how good the scorecard is. It does not open the letters.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fl.binning import Shape
from fl.evaluation import Fit, Scored
from fl.messages import (
    Aggregate,
    Ciphertext,
    Count,
    Counts,
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


@dataclass(frozen=True, kw_only=True)
class BinnedColumns:
    """What the bank is told of a party's columns; counts int64 (all bins,): the training rows in each bin."""

    shape: Aggregate[Shape]
    counts: Counts


@dataclass(frozen=True)
class Started:
    """The party has binned its columns."""

    columns: ToLabelHolder[BinnedColumns]


@request("start", to=Reader.PASSIVE)
@dataclass(frozen=True, kw_only=True)
class StartRequest(Request[Started]):
    """Asks a passive party to bin its columns by the training rows."""

    seed: Setting[int]
    split: ToParties[Split]


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The bank's encrypted labels of the training rows, and its public keys; all empty without passive parties.

    Labels have a key of their own: a party that has sums of residuals opened must not be able to put labels into them.
    """

    label_key: PublicKey[Mapping[str, Array]]
    residual_key: PublicKey[Mapping[str, Array]]
    encrypted: Ciphertext


@dataclass(frozen=True)
class Begun:
    """What the passive parties are to count."""

    labels: ToPassive[Labels]


@request("begin", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True, kw_only=True)
class BeginRequest(Request[Begun]):
    """Asks the bank for its encrypted labels, by the columns of each passive party."""

    seed: Setting[int]
    split: ToParties[Split]
    columns: Mapping[str, ToLabelHolder[BinnedColumns]]


@dataclass(frozen=True)
class EncryptedSums:
    """Sums that a passive party cannot read: a reply of `encrypted_sums`."""

    sums: Ciphertext


@dataclass(frozen=True)
class Counted:
    """The labels summed by bin, and one more sum per column for the rows that the party does not know."""

    sums: ToLabelHolder[EncryptedSums]


@request("count", to=Reader.PASSIVE, after=("start",))
@dataclass(frozen=True)
class CountRequest(Request[Counted]):
    """Asks a passive party to add up the labels by bin."""

    labels: ToPassive[Labels]


@dataclass(frozen=True)
class Groups:
    """Of one passive party the group of each of its bins, int16 (all bins,): `Grouping.groups`."""

    groups: Aggregate[Array]


@dataclass(frozen=True, kw_only=True)
class Residual:
    """The residual in the training rows, and the point that it belongs to.

    mix        float64 (t,): the point, as coefficients of a party's weights after each of its t steps so far
    encrypted  the residual there
    """

    mix: Aggregate[Array]
    encrypted: Ciphertext


@dataclass(frozen=True, kw_only=True)
class Progress(Fit):
    """How the scorecard fits after so many exchanges."""

    exchanges: Count


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """The groups of each passive party with a column worth its place, and the residual of the bank's own scorecard."""

    groups: Mapping[str, ToPassive[Groups]]
    residual: ToPassive[Residual]


@dataclass(frozen=True, kw_only=True)
class Solved:
    """The residual after another exchange."""

    residual: ToPassive[Residual]
    progress: Progress


@dataclass(frozen=True)
class Ended:
    """Training has ended: a party's final weights are those after its last step."""

    progress: Progress


@request("group", to=Reader.LABEL_HOLDER, after=("begin",), opens=True)
@dataclass(frozen=True)
class GroupRequest(Request[Grouped | Ended]):
    """Brings the bank the sums of each passive party."""

    sums: Mapping[str, ToLabelHolder[EncryptedSums]]


@dataclass(frozen=True)
class Masked:
    """The residual summed by group (and over unknown rows) under a mask: a masked reply of `encrypted_sums`."""

    sums: ToLabelHolder[EncryptedSums]


@request("fit", to=Reader.PASSIVE, after=("count",))
@dataclass(frozen=True, kw_only=True)
class FitRequest(Request[Masked]):
    """Begins the exchanges at a passive party: its groups, and the first residual."""

    groups: ToPassive[Groups]
    residual: ToPassive[Residual]


@request("gradient", to=Reader.PASSIVE, after=("step",))
@dataclass(frozen=True)
class GradientRequest(Request[Masked]):
    """Brings a passive party the residual of another exchange."""

    residual: ToPassive[Residual]


@dataclass(frozen=True)
class OpenedSums:
    """A party's masked sums, decrypted: random numbers to everybody who does not hold the mask."""

    sums: Ciphertext


@dataclass(frozen=True)
class Opened:
    """The decrypted sums of each passive party."""

    sums: Mapping[str, ToPassive[OpenedSums]]


@request("open_sums", to=Reader.LABEL_HOLDER, after=("group", "solve"), opens=True)
@dataclass(frozen=True)
class OpenRequest(Request[Opened]):
    """Asks the bank to decrypt the masked sums of each passive party."""

    sums: Mapping[str, ToLabelHolder[EncryptedSums]]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Step number t of a passive party.

    scores    float64 (k,): partial scores of the rows that train or validate and that the party knows
    products  float64 (t,): inner products of this step with each step so far, this one included
    """

    scores: PerRow
    products: Aggregate[Array]


@dataclass(frozen=True)
class Stepped:
    """The party has taken a step."""

    step: ToLabelHolder[Step]


@request("step", to=Reader.PASSIVE, after=("fit", "gradient"))
@dataclass(frozen=True)
class StepRequest(Request[Stepped]):
    """Asks a passive party for a step by its decrypted sums."""

    sums: ToPassive[OpenedSums]


@request("solve", to=Reader.LABEL_HOLDER, after=("open_sums",))
@dataclass(frozen=True)
class SolveRequest(Request[Solved | Ended]):
    """Brings the bank the step of each passive party."""

    steps: Mapping[str, ToLabelHolder[Step]]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a party tells of its k columns that have points.

    columns    int64 (k,): their numbers
    points     int64 (g,): those of its groups, column by column
    values     text (g,): which values each group stands for; all empty if the party keeps that to itself
    stability  float64 (k,): population stability index of its groups, test against training rows
    reasons    text (k,): what a customer is told who loses points in the column
    reasons_zh text (k,): the same in Chinese
    """

    columns: Aggregate[Array]
    points: Aggregate[Array]
    values: Aggregate[Array]
    stability: Aggregate[Array]
    reasons: Setting[Array]
    reasons_zh: Setting[Array]


@dataclass(frozen=True)
class Finished:
    """The party keeps its points."""


@request("finish", to=Reader.PASSIVE, after=("step",))
@dataclass(frozen=True)
class FinishRequest(Request[Finished]):
    """Tells a passive party that its last step was the final one."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """What a party says of every position; one that it does not know has no points and no reasons.

    points   int32 (n,): the party's points
    reasons  int16 (n, 4): numbers of the columns in which most points are lost, worst first, −1 for none
    lost     int32 (n, 4): points lost there, compared with the column's best group
    """

    points: PerRow
    reasons: PerRow
    lost: PerRow


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the party tells of its columns, and the points of every position."""

    card: ToLabelHolder[Card]
    points: ToLabelHolder[Points]


@request("points", to=Reader.PASSIVE, after=("finish",))
@dataclass(frozen=True)
class PointsRequest(Request[Told]):
    """Asks a passive party for its card, and for the points of every position."""


@request("score", to=Reader.LABEL_HOLDER, after=("group", "solve"))
@dataclass(frozen=True, kw_only=True)
class ScoreRequest(Request[Scored]):
    """Brings the bank what each passive party tells of its columns, and of every position."""

    cards: Mapping[str, ToLabelHolder[Card]]
    points: Mapping[str, ToLabelHolder[Points]]
