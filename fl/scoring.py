"""Scoring applicants by a trained model: each party says its part of the score, the label holder adds them up.

Conversation `scoring/2` scores applicants by a model that was trained before, in a study beside that of the training:

1. `PrepareRequest` → `Prepared`, the bank and then the model's passive parties: is the model there, and are the columns
   still those that it learned from? Of a blend (`fl/blend.py`) the bank names the members, and the others are asked for
   these: any other model is a blend of one;
2. the alignment (`fl/alignment`), with the bank's applicants in place of its applications;
3. `ContributeRequest` → `Contributed`, passive parties: what they add to each position's score by every member that
   all of them keep, in the form of the conversation that trained it;
4. `AnswerRequest` → `Answered`, the bank: it scores, and keeps the result for itself.

Ten round trips with the handshake, whatever the protocol and the numbers of members and rows. A blend answers without
the members of which a party has lost its part, or whose conversation a party speaks in another version. The bank's own
model has a say, too, on applicants whom no passive party knows, unless the protocol has another kind of score. Without
one of the parties that the model was trained with it alone answers for everybody: the bank is aligned with itself,
seven round trips. So it does when a party keeps silent or fails on the way; one that refuses says why, and ends the
run.

A run may take its applicants from the bank's queue (`clients/serving`) instead of a file. Then the coordinator asks
first how many would be scored now (`QueueRequest` → `Queued`), which is none as long as too few wait. The bank's own
model has answered them before, so without one of the parties nobody is scored: the coordinator tells the bank why
(`PostponeRequest` → `Postponed`), and they wait for the next run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fl.messages import Content, Count, Reader, Request, Setting, ToLabelHolder, request


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The party has a model that was asked for.

    models are those that it keeps; from the bank, of a blend that is asked for, its members. parties are, from the
    bank, the passive ones that they were trained with, in order.
    """

    models: Setting[tuple[str, ...]]
    parties: Setting[tuple[str, ...]]


@request("prepare")
@dataclass(frozen=True, kw_only=True)
class PrepareRequest(Request[Prepared]):
    """Names what is to score, of a study and seed: by contender the version of the conversation that trained it.

    The bank is asked for one model, passive parties for its members.
    """

    study: Setting[str]
    seed: Setting[int]
    models: Setting[Mapping[str, str]]


@dataclass(frozen=True)
class Contributions:
    """A party's part of every row's score, by model: a record of the conversation that trained it, encoded."""

    parts: Annotated[Mapping[str, bytes], Content.PER_ROW]


@dataclass(frozen=True)
class Contributed:
    """What a passive party adds to the score of every position: outcomes of splits, embeddings, or points."""

    contributions: ToLabelHolder[Contributions]


@request("contribute", to=Reader.PASSIVE, after=("prepare",))
@dataclass(frozen=True)
class ContributeRequest(Request[Contributed]):
    """Asks a passive party for what it adds to the score of every position by these of the models."""

    models: Setting[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """How many applicants the bank has scored, and by which model: a contender, and members that it did without.

    known says how many each party knows. by_both says how many no passive party knows, so that the bank's own model had
    a say on them, too.
    """

    applicants: Count
    model: Setting[str]
    by_both: Count
    known: Mapping[str, Count]


@request("answer", to=Reader.LABEL_HOLDER, after=("prepare",))
@dataclass(frozen=True)
class AnswerRequest(Request[Answered]):
    """For the bank: by party what it contributes; nobody's where the bank's own model is to answer."""

    contributions: Mapping[str, ToLabelHolder[Contributions]]


@dataclass(frozen=True)
class Queued:
    """How many applicants of its queue the bank would have scored now: 0 while fewer wait than its policy allows."""

    applicants: Count


@request("queue", to=Reader.LABEL_HOLDER, query=True)
@dataclass(frozen=True)
class QueueRequest(Request[Queued]):
    """Asks the bank how many applicants of its queue are to be scored by the run's model."""


@dataclass(frozen=True)
class Postponed:
    """The bank keeps the batch in its queue."""


@request("postpone", to=Reader.LABEL_HOLDER, after=("prepare",))
@dataclass(frozen=True)
class PostponeRequest(Request[Postponed]):
    """Tells the bank why its batch was not scored: who was away, or refused what."""

    reason: Setting[str]
