"""Attacks on labels by nodes: they find labels where nodes follow them, and nothing where they do not."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.attacks.boosting import labels
from experiments.attacks.boosting.recording import Recording
from fl.boosting import (
    YOU,
    BeginRequest,
    Demanded,
    Grown,
    GrowRequest,
    Level,
    Members,
    SplitRequest,
    Task,
    packed,
)
from fl.boosting.forest import Splits
from fl.messages import Letter

FIRST = Splits(np.zeros(1, np.int64), np.zeros((1, 32), np.uint8))


def with_splits(recording: Recording, sides: Iterable[NDArray[np.bool_]]) -> Recording:
    """The recording with other trees, of one split each, of the party's, that send rows to these sides (n,)."""
    nowhere = packed(np.zeros((1, len(recording.training)), bool))
    level = Letter.of(Level(owners=np.array([YOU], np.int8), splits=FIRST, pad=None))
    of_party, of_bank = [], [m for m in recording.messages["bank"] if isinstance(m, BeginRequest)]
    for tree, left in enumerate(sides):
        task = Letter.of(
            Task(
                round=tree,
                ahead=True,
                wanted=True,
                lighter_left=np.array([False]),
                bank_left=nowhere,
                keys=None,
            )
        )
        members = Letter.of(Members(packed(left[None])))
        of_party += [
            GrowRequest(task=task, level=level, gradients=None, sides=None),
            Grown(members=members, sums=None, sides=None),
        ]
        demanded = Demanded(
            task=task, levels={"tax": level}, gradients=None, waits=(), chosen=(), trees=tree, fit=None
        )
        of_bank += [demanded, SplitRequest(members={"tax": members}, sums={})]
    return replace(recording, messages={"tax": of_party, "bank": of_bank})


def successes(recording: Recording) -> dict[str, float]:
    """Of the attacks that need a direction."""
    of_party = labels.play(recording, "tax", np.random.default_rng(1))
    names = ["direction, 20 defaults", "regression, 1,000 labels"]
    return {name: float(of_party.loc[name, "received"]) for name in names}


def test_nodes_that_follow_labels_give_them_away(recorded: Callable[..., Recording]) -> None:
    recording = recorded()
    bad = recording.joined.labels[recording.positions] == 1

    found = successes(with_splits(recording, [bad]))

    assert min(found.values()) > 0.99, found


def test_nodes_that_follow_nothing_tell_nothing(recorded: Callable[..., Recording]) -> None:
    recording, rng = recorded(trees=6), np.random.default_rng(2)

    found = successes(with_splits(recording, rng.random((5, len(recording.training))) < 0.5))

    assert max(found.values()) < 0.65, found


def test_own_columns_are_the_yardstick_of_a_party(
    recorded: Callable[..., Recording],
) -> None:
    of_party = labels.play(recorded(), "tax", np.random.default_rng(3))

    assert of_party["own"].drop(labels.LIGHTER).between(0.4, 1).all()
    assert of_party["received"].between(0, 1).all()


def test_rows_that_a_party_does_not_know_are_not_judged(recorded: Callable[..., Recording]) -> None:
    recording = recorded()
    known = recording.joined.coverage["tax"]
    changed = np.where(known, recording.joined.labels, 1 - recording.joined.labels).astype(np.int8)
    applications = replace(recording.joined.applications, labels=changed)
    other = replace(recording, joined=replace(recording.joined, applications=applications))

    one, two = (labels.play(found, "tax", np.random.default_rng(4)) for found in (recording, other))

    assert one.equals(two)
    assert pytest.approx(one.loc[labels.LIGHTER, "received"]) == two.loc[labels.LIGHTER, "received"]
