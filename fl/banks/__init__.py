"""What banks with the same columns and different businesses learn together, over secure sums (`fl/secure_sums`).

The banks are among themselves here: no passive party takes part. The algorithms are programs of sums (`program`), such
as `boosting`; their bins follow from counts on a common grid (`grid`), and so does the evaluation of the whole
(`evaluation`).

Conversation `banks/1`. The banks have met (`fl/meeting.py`), and each has split its own rows. Then:

1. every bank makes a fresh key for this model and tells the others its public part; the first bank by name also tells
   them a group key: `StartRequest` → `Started`;
2. every bank reads what the others have told it, and shows the first numbers that it adds, under pads: `BeginRequest` →
   `Added`;
3. the coordinator adds what they show modulo 2^64 and tells all banks the total. Each takes the pad off, goes on with
   its program, and shows what it adds next: `AddRequest` → `Added`, until a bank says that these are the last. The last
   two sums are for the evaluation of the model on the test rows of all banks;
4. with the total of the last numbers every bank evaluates the model: `ScoreRequest` → `Judged`.

The coordinator sees random numbers, how many there are, and what the banks tell it of the training's progress.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fl.evaluation import Evaluation
from fl.messages import (
    Aggregate,
    Content,
    Count,
    Figure,
    Padded,
    PublicKey,
    Reader,
    Request,
    Setting,
    ToLabelHolder,
    request,
)


@dataclass(frozen=True, kw_only=True)
class PadKeys:
    """What a bank tells another one of the pads of a model.

    public  its public key (X25519), 32 bytes
    group   of the first bank by name: a key that all banks share, 32 bytes; of the others empty
    schema  SHA-256 of the columns and levels that the bank has declared, in hex
    """

    public: PublicKey[bytes]
    group: Annotated[bytes, Content.PADDED]
    schema: Setting[str]


@dataclass(frozen=True)
class Started:
    """A bank's keys for each other bank, by its name."""

    keys: Mapping[str, ToLabelHolder[PadKeys]]


@request("start", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True)
class StartRequest(Request[Started]):
    """Begins a model of all banks under a seed."""

    seed: Setting[int]


@dataclass(frozen=True, kw_only=True)
class Added:
    """What a bank adds next, and how far the training is.

    shown    uint64 (k + 1,): its numbers under the pads of this step
    is_last  whether the evaluation can be made of their total
    step     of the training that the last total has ended, and its
    metrics  by name, such as `valid.loss`; 0 and none if it has ended no step
    """

    shown: Padded
    is_last: Setting[bool]
    step: Count
    metrics: Mapping[str, Figure]


@request("begin", to=Reader.LABEL_HOLDER, after=("start",))
@dataclass(frozen=True)
class BeginRequest(Request[Added]):
    """For one bank: the keys of the others, by their names."""

    keys: Mapping[str, ToLabelHolder[PadKeys]]


@request("add", to=Reader.LABEL_HOLDER, after=("begin", "add"))
@dataclass(frozen=True)
class AddRequest(Request[Added]):
    """The total of what all banks have shown, uint64 (k + 1,), modulo 2^64."""

    total: Padded


@dataclass(frozen=True)
class Judged:
    """How the model does on the bank's own test rows, and on those of all banks, as far as counts of bins tell."""

    evaluation: Aggregate[Evaluation]
    whole: Aggregate[Evaluation]


@request("score", to=Reader.LABEL_HOLDER, after=("begin", "add"))
@dataclass(frozen=True)
class ScoreRequest(Request[Judged]):
    """The total of the last numbers, uint64 (k + 1,), modulo 2^64."""

    total: Padded
