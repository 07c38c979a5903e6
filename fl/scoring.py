"""Scoring applicants by a trained model: each party says its part of the score, the label holder adds them up.

Conversation `scoring/1` scores applicants by a model that was trained before, in a study beside that of the training:

1. `PrepareRequest` → `Prepared`, the bank and then the model's passive parties: is the model there, and are the columns
   still those that it learned from?
2. the alignment (`fl/alignment`), with the bank's applicants in place of its applications;
3. `ContributeRequest` → `Contributed`, passive parties: what they add to each position's score, in the form of the
   conversation that trained the model;
4. `AnswerRequest` → `Answered`, the bank: it scores, and keeps the result for itself.

Nine round trips with the handshake, whatever the protocol and the number of rows. The bank's own model has a say, too,
on applicants whom no passive party knows, unless the protocol has another kind of score. Without one of the parties
that the model was trained with it alone answers for everybody: the bank is aligned with itself, six round trips. So it
does when a party keeps silent or fails on the way; one that refuses says why, and ends the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fl.messages import Content, Count, Letter, Reader, Request, Setting, request


@dataclass(frozen=True)
class Prepared:
    """The party has the model. parties are, from the bank, the passive ones that it was trained with, in order."""

    parties: Setting[tuple[str, ...]]


@request("prepare")
@dataclass(frozen=True, kw_only=True)
class PrepareRequest(Request[Prepared]):
    """Names the model that is to score: of which study, contender and seed, trained by which conversation's version."""

    study: Setting[str]
    contender: Setting[str]
    seed: Setting[int]
    conversation: Setting[str]


ContributionLetter = Annotated[Letter[Any], Reader.LABEL_HOLDER, Content.PER_ROW]
"""A party's part of every row's score, in the form of the conversation that trained the model."""


@dataclass(frozen=True)
class Contributed:
    """What a passive party adds to the score of every position: outcomes of splits, embeddings, or points."""

    contribution: ContributionLetter


@request("contribute", to=Reader.PASSIVE, after=("prepare",))
@dataclass(frozen=True)
class ContributeRequest(Request[Contributed]):
    """Asks a passive party for what it adds to the score of every position."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """How many applicants the bank has scored, and by which model (a contender).

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

    contributions: Mapping[str, ContributionLetter]
