"""A scorecard of several banks and of passive parties that know firms of all of them.

The model is one scorecard: the regression of `fl/scorecard` on the rows of all banks, with the banks' columns, those of
the passive parties, and the banks' columns of who is known to whom. What differs from the scorecard of one bank:

- *Bins.* Those of the banks' columns follow from added counts on a common grid (`fl/banks/grid.py`). A passive party
  bins each of its columns once, by the training rows of all banks that it knows.
- *Groups* follow from the goods and bads of all banks, with the same minimum counts as at one bank.
- *The banks' weights* are solved, with the partial scores of the passive parties as given, by Newton's method on sums
  that the banks add (`fl/banks/newton.py`), and so are the banks' weights without any passive party.
- *The passive parties' steps* go by sums of the residual over the rows of all banks.
- *Calibration* is each bank's own.

Weights of all parties, and so points tables, equal those of the pooled twin bit for bit
(`experiments/baselines/hybrid_scorecard.py`).

No party sees a sum over the rows of one bank only. A passive party masks what it has added up for each bank, under that
bank's key, modulo the same power of two everywhere (`encrypted_sums`). The bank opens its share, which is random to it,
and the banks add their shares over secure sums (`fl/secure_sums`). Of labels, the party tells the banks the total of
its masks, so that the banks see goods and bads over all of them. Of residuals, the banks tell the party the total of
their shares, and the party takes the total of its masks off.

Conversation `hybrid_scorecard/1`; `solving` is the bank's way through it. All banks are asked in the same round trips.

1. In the study of all, banks exchange keys for the secure sums: `StartRequest` → `Started`, `AgreeRequest` → `Agreed`.
2. All else happens in the banks' sub-studies. Each passive party hears who trains, `JoinRequest` → `Joined`, and bins,
   `BinRequest` → `Binned`. Each bank shows its counts for bins, `TellRequest` → `Shown`, and encrypts labels
   by the total, `BeginRequest` → `scorecard.Begun`.
3. Passive parties sum the labels by bin under masks, `CountRequest` → `scorecard.Masked`, and tell the banks the total
   of their masks, `RevealRequest` → `Revealed`. The banks open their shares, `TallyRequest` → `Shown`, make groups of
   the totals and begin with their own columns, `GroupRequest` → `Shown`, and add, `AddRequest` → `Shown`, until they
   have their weights: `Solved`, or `Ended` if no passive party has a column worth its place.
4. An exchange: `FitRequest`, later `GradientRequest` → `scorecard.Masked`, passive parties; `OpenRequest` → `Shown` and
   `PassRequest` → `scorecard.Opened`, banks; `StepRequest` → `scorecard.Stepped`, passive parties; `SolveRequest` and
   `AddRequest` → `Shown`, banks, until they have their weights there: `Solved` or `Ended`.
5. `FinishRequest` and `PointsRequest`, passive parties, as in `scorecard`. `ScoreRequest`, `CutRequest` → `Shown` and
   `JudgeRequest` → `Judged`, banks: each evaluates the model on its own test rows, and all on those of all banks by
   added counts. In the study of all, `CloseRequest` → `Closed`.

Round trips: 16 + S + 5 · E, with E exchanges and S sums of Newton's method in all, one or more in each exchange.

What each receiver sees:

- a passive party: as in `scorecard`, with sums of residuals over the rows of all banks;
- a bank: totals over all banks of the goods and bads of each anonymous bin of a passive party, of how many businesses
  each passive party knows, and of its own columns what `fl/banks/scorecard.py` adds; less its own part, those of all
  other banks together. Of its own rows, what a bank sees in `scorecard` but for the bins;
- the coordinator: numbers under pads, how many there are, and how well the scorecard fits.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fl import scorecard
from fl.banks import Judged, PadKeys, Started
from fl.hybrid import Agreed, Closed, Shown
from fl.messages import (
    Count,
    Figure,
    Padded,
    Reader,
    Request,
    Setting,
    ToLabelHolder,
    ToParties,
    ToPassive,
    request,
)
from fl.splits import Split


@request("start", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True)
class StartRequest(Request[Started]):
    """Asks a bank for fresh keys of the sums for a model under a seed."""

    seed: Setting[int]


@request("agree", to=Reader.LABEL_HOLDER, after=("start",))
@dataclass(frozen=True)
class AgreeRequest(Request[Agreed]):
    """For one bank: the keys of the others, by their names."""

    keys: Mapping[str, ToLabelHolder[PadKeys]]


@dataclass(frozen=True)
class Joined:
    """The party knows who trains at this bank."""


@request("join", to=Reader.PASSIVE)
@dataclass(frozen=True, kw_only=True)
class JoinRequest(Request[Joined]):
    """Begins the model at a passive party in a bank's sub-study; studies are the sub-studies of all banks."""

    seed: Setting[int]
    split: ToParties[Split]
    studies: Setting[tuple[str, ...]]


@dataclass(frozen=True)
class Binned:
    """The party has binned its columns, by the training rows of all banks that it knows, and counts these."""

    columns: ToLabelHolder[scorecard.BinnedColumns]


@request("bin_columns", to=Reader.PASSIVE, after=("join",))
@dataclass(frozen=True)
class BinRequest(Request[Binned]):
    """Asks a passive party for its columns."""


@request("tell", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True, kw_only=True)
class TellRequest(Request[Shown]):
    """Begins the model in a bank's sub-study: asks for its counts of labels and for the bins of the banks' columns."""

    seed: Setting[int]
    split: ToParties[Split]


@request("begin", to=Reader.LABEL_HOLDER, after=("tell",))
@dataclass(frozen=True, kw_only=True)
class BeginRequest(Request[scorecard.Begun]):
    """Asks a bank for its encrypted labels, by the total of the counts and the columns of each passive party."""

    total: Padded
    columns: Mapping[str, ToLabelHolder[scorecard.BinnedColumns]]


@request("count", to=Reader.PASSIVE, after=("bin_columns",))
@dataclass(frozen=True)
class CountRequest(Request[scorecard.Masked]):
    """Asks a passive party to add up the labels by bin, under a mask."""

    labels: ToPassive[scorecard.Labels]


@dataclass(frozen=True)
class Masks:
    """The total over all banks of what hides a passive party's sums of labels from them: int64 (all bins,)."""

    masks: Padded


@dataclass(frozen=True)
class Revealed:
    """What the total of the banks' shares is hidden by."""

    masks: ToLabelHolder[Masks]


@request("reveal", to=Reader.PASSIVE, after=("count",))
@dataclass(frozen=True)
class RevealRequest(Request[Revealed]):
    """Asks a passive party for the total of its masks over all banks."""


@request("tally", to=Reader.LABEL_HOLDER, after=("begin",), opens=True)
@dataclass(frozen=True)
class TallyRequest(Request[Shown]):
    """Brings a bank the masked sums of each passive party, to be opened and added with its own goods and bads."""

    sums: Mapping[str, ToLabelHolder[scorecard.EncryptedSums]]


@request("group", to=Reader.LABEL_HOLDER, after=("tally",))
@dataclass(frozen=True, kw_only=True)
class GroupRequest(Request[Shown]):
    """Asks a bank for groups by the total, and for what it adds first to fit the banks' own columns."""

    total: Padded
    masks: Mapping[str, ToLabelHolder[Masks]]


@dataclass(frozen=True, kw_only=True)
class Solved:
    """The banks have their weights where the passive parties are.

    groups    of each passive party with a column worth its place, before the first exchange; later empty
    residual  there, under the bank's key
    metrics   the mean log losses of all rows that train and of all that validate
    """

    groups: Mapping[str, ToPassive[scorecard.Groups]]
    residual: ToPassive[scorecard.Residual]
    exchanges: Count
    metrics: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Training has ended: a party's final weights are those after its last step."""

    exchanges: Count
    metrics: Mapping[str, Figure]


@request("add", to=Reader.LABEL_HOLDER, after=("group", "solve", "add"))
@dataclass(frozen=True)
class AddRequest(Request[Shown | Solved | Ended]):
    """The total of what all banks have shown, uint64 (k + 1,), modulo 2^64."""

    total: Padded


@request("fit", to=Reader.PASSIVE, after=("reveal",))
@dataclass(frozen=True, kw_only=True)
class FitRequest(Request[scorecard.Masked]):
    """Begins the exchanges at a passive party: its groups, and the first residual."""

    groups: ToPassive[scorecard.Groups]
    residual: ToPassive[scorecard.Residual]


@request("gradient", to=Reader.PASSIVE, after=("step",))
@dataclass(frozen=True)
class GradientRequest(Request[scorecard.Masked]):
    """Brings a passive party the residual of another exchange."""

    residual: ToPassive[scorecard.Residual]


@request("open_sums", to=Reader.LABEL_HOLDER, after=("add",), opens=True)
@dataclass(frozen=True)
class OpenRequest(Request[Shown]):
    """Asks a bank to open the masked sums of each passive party, and to add what it sees."""

    sums: Mapping[str, ToLabelHolder[scorecard.EncryptedSums]]


@request("pass_on", to=Reader.LABEL_HOLDER, after=("open_sums",))
@dataclass(frozen=True)
class PassRequest(Request[scorecard.Opened]):
    """Asks a bank to tell each passive party the total of its shares."""

    total: Padded


@request("step", to=Reader.PASSIVE, after=("fit", "gradient"))
@dataclass(frozen=True)
class StepRequest(Request[scorecard.Stepped]):
    """Asks a passive party for a step by the total of the shares."""

    sums: ToPassive[scorecard.OpenedSums]


@request("solve", to=Reader.LABEL_HOLDER, after=("pass_on",))
@dataclass(frozen=True)
class SolveRequest(Request[Shown]):
    """Brings a bank the step of each passive party; it says where to go, and adds what it has there."""

    steps: Mapping[str, ToLabelHolder[scorecard.Step]]


@request("finish", to=Reader.PASSIVE, after=("step",))
@dataclass(frozen=True)
class FinishRequest(Request[scorecard.Finished]):
    """Tells a passive party that its last step was the final one."""


@request("points", to=Reader.PASSIVE, after=("finish",))
@dataclass(frozen=True)
class PointsRequest(Request[scorecard.Told]):
    """Asks a passive party for its card, and for the points of every position."""


@request("score", to=Reader.LABEL_HOLDER, after=("add",))
@dataclass(frozen=True, kw_only=True)
class ScoreRequest(Request[Shown]):
    """Brings a bank what each passive party tells of its columns, and of every position."""

    cards: Mapping[str, ToLabelHolder[scorecard.Card]]
    points: Mapping[str, ToLabelHolder[scorecard.Points]]


@request("cut", to=Reader.LABEL_HOLDER, after=("score",))
@dataclass(frozen=True)
class CutRequest(Request[Shown]):
    """The total of how many test rows have which score, from which all banks make the bins of the evaluation."""

    total: Padded


@request("judge", to=Reader.LABEL_HOLDER, after=("cut",))
@dataclass(frozen=True)
class JudgeRequest(Request[Judged]):
    """The total of goods and bads by these bins."""

    total: Padded


@request("close", to=Reader.LABEL_HOLDER, after=("agree",))
@dataclass(frozen=True)
class CloseRequest(Request[Closed]):
    """Tells a bank, in the study of all, that the model is trained and evaluated."""
