"""What is said of scores: of a trained model's on its test rows, and of those of new applicants.

Protocol `scoring/1` scores applicants by a model that was trained before, in a study of its own beside the training:

1. `PrepareRequest` → `Prepared`, the bank and then the model's passive parties: is the model there, and are the columns
   still those that it learned from?
2. the alignment (`fl/alignment.py`), with the bank's applicants in place of its applications;
3. `ContributeRequest` → `Contribution`, passive parties: what they add to each position's score, in the form of the
   protocol that trained the model;
4. `AnswerRequest` → `Answered`, the bank: it scores, and keeps the result for itself.

Nine round trips with the handshake, whatever the protocol and the number of rows. The bank's own model has a say, too,
on applicants whom no passive party knows, unless the protocol has another kind of score. Without one of the parties
that the model was trained with it alone answers for everybody: the bank is aligned with itself, six round trips. So it
does when a party keeps silent or fails on the way; one that refuses says why, and ends the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

VERSION = "scoring/1"


@dataclass(frozen=True)
class Scored:
    """An `Evaluation` on the test rows, as its named arrays; never a row's own score."""

    evaluation: Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class PrepareRequest:
    """Names the model that is to score: of which study, contender and seed, trained by which protocol's version."""

    study: str
    contender: str
    seed: int
    protocol: str


@dataclass(frozen=True)
class Prepared:
    """The party has the model. parties are, from the bank, the passive ones that it was trained with, in order."""

    parties: tuple[str, ...]


@dataclass(frozen=True)
class ContributeRequest:
    """Asks a passive party for what it adds to the score of every position."""


@dataclass(frozen=True)
class Contribution:
    """What the protocol's `contribution` gives: outcomes of splits, embeddings, or points with reasons."""

    arrays: Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class AnswerRequest:
    """For the bank: the contributions of the parties, named `<number of the party>/<array>`; none for its own model."""

    parties: tuple[str, ...]
    contributions: Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Answered:
    """How many applicants the bank has scored, and by which model (a contender).

    known says how many each party knows. by_both says how many no passive party knows, so that the bank's own model had
    a say on them, too.
    """

    applicants: int
    model: str
    by_both: int
    known: Mapping[str, float]
