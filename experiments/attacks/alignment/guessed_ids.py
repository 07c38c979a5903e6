"""Membership of guessed ids: whoever has a passive party raise blinded ids can tell which of them it knows.

That is what an alignment is for, if the ids are those of the bank's applicants. Here they are guesses: members of the
party, and as many strangers.
"""

import numpy as np

from clients.parties import open_party
from experiments.attacks.active import ActiveAttack, By, Stage
from fl.alignment import BlindPoints, BothPoints, MeetRequest, RaiseRequest
from fl.alignment.intersection import hash_to_points, match_points, new_exponent, raise_to
from fl.messages import Letter

GUESSED = 200


def guess(stage: Stage) -> str:
    """Have guesses raised in the bank's name, in a study that has just begun."""
    stage.meet()
    return _guess(stage)


def guess_as_bank(stage: Stage) -> str:
    """The same, after the study has begun with the attacker introduced as the bank."""
    bank = {stage.holder: stage.impostor(stage.holder)}
    stage.exchange.ask({stage.victim: MeetRequest(stage.introductions | bank)})
    return _guess(stage)


def begin_again(stage: Stage) -> str:
    """Begin another alignment within an aligned study, under a model's name."""
    again = "again/1"
    stage.exchange.ask({stage.victim: MeetRequest(stage.introductions)}, again)
    stage.ask(stage.victim, RaiseRequest(Letter.of(_blinded(np.array(["stranger"]), new_exponent()))), again)
    return "1 of 1 further alignments"


def _guess(stage: Stage) -> str:
    members = open_party(stage.folder(stage.victim), labelled=False).ids()[:GUESSED]
    strangers = np.array([f"stranger {number}" for number in range(len(members))])
    exponent = new_exponent()
    blinded = _blinded(np.concatenate([members, strangers]), exponent)
    raised = stage.ask(stage.victim, RaiseRequest(Letter.of(blinded)))
    both = stage.read(raised.points, BothPoints)
    is_member = match_points(both.raised, raise_to(both.blinded, exponent)) >= 0
    right = is_member == np.repeat([True, False], len(members))
    return f"membership of {right.sum():,} of {len(right):,} guessed ids"


def _blinded(ids: np.ndarray, exponent: bytes) -> BlindPoints:
    return BlindPoints(raise_to(hash_to_points(ids), exponent))


FORGED = ActiveAttack(
    finding=6,
    title="guessed ids, in the bank's name",
    by=By.COORDINATOR,
    play=guess,
    aligned=False,
)
IMPOSTOR = ActiveAttack(
    finding=6,
    title="guessed ids, introduced as the bank",
    by=By.COORDINATOR,
    play=guess_as_bank,
    aligned=False,
)
OWN = ActiveAttack(finding=6, title="ids that are no applicants", by=By.BANK, play=guess, aligned=False)
AGAIN = ActiveAttack(finding=6, title="a second alignment in the study", by=By.BANK, play=begin_again)
