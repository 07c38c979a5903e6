"""Gradient-boosted trees of several banks and of passive parties that know firms of all of them.

The model is one forest. Banks hold the same columns of different firms, passive parties hold other columns of the
same firms, and all trees are grown as in `fl/boosting`, but for what follows.

- *Bins.* Those of the banks' columns follow from added counts on a common grid (`fl/banks/grid.py`). A passive party
  bins each of its columns once, by all rows of all banks that it knows.
- *Rows of a tree.* Each bank samples its own training rows; the columns of a tree are drawn for all banks at once.
- *Merged bins.* In each node, a passive party merges bins for each bank apart, so that no bank gets a sum over fewer
  than `boosting.min-bin-count` of its own rows, or over none (`fl/boosting/merging.py`). At that bank, all rows of a
  group of merged bins count as rows of the bin that stands for the group.
- *Sums.* Gradient and hessian of a bin are the total over all banks of what so counts. Of the banks' own columns
  nothing is merged.
- *Splits.* The best one by these totals (`fl/boosting/search.py`), for all banks. At each bank, the rows of a group go
  the way of the bin that stands for it, in training and in scoring: a cut between two bins that are merged at a bank is
  there a cut below the whole group. By a passive party's column, a split must leave `boosting.min-leaf-count` rows of
  at least one bank in either child, by a bank's column, of all banks together.
- *Leaves* have the weights that the totals of all banks give.
- *Stopping.* Training stops by the mean log loss of all validation rows, as the banks' own boosting does. Each bank
  calibrates the scores on its validation rows.

Since a group of merged bins is a bin like any other, a total over banks is exact, although the banks merge
differently: no candidate has to be added up for itself, and the search is that of one bank. The forest equals its
pooled twin, which knows which row is which bank's (`experiments/baselines/hybrid_boosting.py`), bit for bit.

Conversation `hybrid/1`. A passive party has its half of `boosting` with each bank apart, in the bank's sub-study and
under its key; all banks are asked in the same round trips.

1. In the study of all, banks exchange keys for the secure sums (`fl/secure_sums`): `StartRequest` → `Started`, and
   `AgreeRequest` → `Agreed`.
2. In the sub-studies, each bank shows its counts for bins and labels: `CountRequest` → `Shown`. Passive parties bin:
   `boosting.CommonStartRequest` → `boosting.Started`. With the total, each bank makes its first demand of them:
   `BeginRequest` → `Next`.
3. For each level, passive parties split and add up: `boosting.GrowRequest` (and `SumRequest`) → `Grown`. Each bank
   opens what they have added up for it and shows it for the sums of all: `SplitRequest` → `Shown`, or `Next` where it
   can go on without a total. By the total all banks choose the same splits: `AddRequest` → `Next`. The losses of a
   round are added up with what comes next. So it goes on until every bank answers `Ended`.
4. `boosting.FinishRequest` and `boosting.OutcomesRequest`, passive parties. `ScoreRequest`, `CutRequest` → `Shown` and
   `JudgeRequest` → `Judged`, banks: each evaluates the model on its own test rows, and all on those of all banks by
   added counts (`fl/banks/evaluation.py`). In the study of all, `CloseRequest` → `Closed`.

Round trips: 11 + 3 · (depth + 1) · rounds, where sides are handed over in advance and `boosting.ahead` is not `none`.

What each receiver sees more than in `boosting`:

- a passive party: that the splits which it makes for the banks are the same, so chosen on more rows than one bank has;
- a bank: totals over all banks of the sums per bin of each anonymous column and of how many banks' rows allow a split,
  so with its own taken off, those of all others together. A bin of these holds `min_bin_count` rows of some bank, or
  none; of the banks' own columns it may hold a single row, as in `fl/banks/boosting.py`;
- the coordinator: numbers under pads, uniform to it, and how many there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fl.banks import Judged, PadKeys, Started
from fl.boosting import Columns, Demanded, Kept, Members, Outcomes, Reasons, Sums
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


@dataclass(frozen=True)
class Agreed:
    """The bank holds the keys for the sums."""


@request("agree", to=Reader.LABEL_HOLDER, after=("start",))
@dataclass(frozen=True)
class AgreeRequest(Request[Agreed]):
    """For one bank: the keys of the others, by their names."""

    keys: Mapping[str, ToLabelHolder[PadKeys]]


@dataclass(frozen=True)
class Shown:
    """What a bank adds, uint64 (k + 1,), under the pads of this sum."""

    numbers: Padded


@request("count", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True, kw_only=True)
class CountRequest(Request[Shown]):
    """Begins the model in a bank's sub-study: asks for its counts for the bins of the banks' columns, and of labels."""

    seed: Setting[int]
    split: ToParties[Split]


@dataclass(frozen=True, kw_only=True)
class Next(Demanded):
    """What a bank demands of the passive parties, and the losses of a round that has ended: by name, else none."""

    metrics: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Training has ended after so many trees; what each passive party keeps, and the losses of the last round."""

    kept: Mapping[str, ToPassive[Kept]]
    trees: Count
    metrics: Mapping[str, Figure]


@request("begin", to=Reader.LABEL_HOLDER, after=("count",))
@dataclass(frozen=True, kw_only=True)
class BeginRequest(Request[Next]):
    """Asks a bank for its first demand, by the total of the counts and the columns of each passive party."""

    total: Padded
    columns: Mapping[str, ToLabelHolder[Columns]]


@request("split", to=Reader.LABEL_HOLDER, after=("begin", "split", "add"), opens=True)
@dataclass(frozen=True, kw_only=True)
class SplitRequest(Request[Next | Shown]):
    """For a bank: where the passive parties' splits send its rows, and what they have added up, if that was wanted."""

    members: Mapping[str, ToParties[Members]]
    sums: Mapping[str, ToLabelHolder[Sums]]


@request("add", to=Reader.LABEL_HOLDER, after=("split",))
@dataclass(frozen=True)
class AddRequest(Request[Next | Ended]):
    """The total of what all banks have shown, uint64 (k + 1,), modulo 2^64."""

    total: Padded


@request("score", to=Reader.LABEL_HOLDER, after=("add",))
@dataclass(frozen=True, kw_only=True)
class ScoreRequest(Request[Shown]):
    """For a bank: every passive party's outcomes at its test rows, and the reasons of its columns."""

    outcomes: Mapping[str, ToLabelHolder[Outcomes]]
    reasons: Mapping[str, ToLabelHolder[Reasons]]


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


@dataclass(frozen=True)
class Closed:
    """The bank has forgotten the keys for the sums."""


@request("close", to=Reader.LABEL_HOLDER, after=("agree",))
@dataclass(frozen=True)
class CloseRequest(Request[Closed]):
    """Tells a bank, in the study of all, that the model is trained and evaluated."""
