"""Openings of other sums than those of the party's groups: the bank cannot tell what it opens.

It decrypts masked sums, which are uniform numbers to it. A party that adds up one row in place of each group gets the
residual of that row, whose sign is the label. A coordinator alone would have to write the party's letter.
"""

from collections.abc import Mapping

import numpy as np

from clients.scorecard.columns import one_group, residual_ranges
from experiments.attacks.active import ActiveAttack, By, Stage
from fl.binning import Binning
from fl.config.scorecard import ScorecardConfig
from fl.encrypted_sums import new_responder
from fl.messages import Letter
from fl.scorecard import (
    BeginRequest,
    Begun,
    CountRequest,
    EncryptedSums,
    FitRequest,
    Grouped,
    GroupRequest,
    Groups,
    Labels,
    OpenedSums,
    OpenRequest,
    Residual,
    StartRequest,
)
from fl.scorecard.grouping import Grouping
from fl.splits import TRAIN, Split


def open_made_up(stage: Stage) -> str:
    """Have the bank open a letter that the victim has not written."""
    _, _, masked = _masked(stage)
    made_up = Letter(masked[stage.victim].content)
    stage.ask(stage.holder, OpenRequest({**masked, stage.victim: made_up}), _model(stage))
    return "what a made-up letter holds, decrypted"


def open_rows(stage: Stage) -> str:
    """Have the bank open single rows in place of the victim's groups."""
    begun, grouped, masked = _masked(stage)
    shape = stage.store(stage.victim, _model(stage)).read(Binning).shape
    counts = Grouping(shape, stage.read(grouped.groups[stage.victim], Groups).groups).counts + 1
    training = stage.read(stage.split, Split).roles == TRAIN
    rows = np.arange(counts.sum())
    # In each column every group has one row, and all others are in none.
    bins = np.tile(counts.astype(np.uint8), (int(training.sum()), 1))
    bins[rows, np.repeat(np.arange(len(counts)), counts)] = np.concatenate([np.arange(n) for n in counts])
    config, key = stage.config.section(ScorecardConfig), stage.read(begun.labels, Labels).residual_key
    responder = new_responder(config.encryption, int(training.sum()), residual_ranges(config), key)
    encrypted = stage.read(grouped.residual, Residual).encrypted
    sums, mask = responder.masked_sums(encrypted, one_group(bins), bins, counts)
    crafted = Letter.of(EncryptedSums(sums))
    opened = stage.ask(stage.holder, OpenRequest({**masked, stage.victim: crafted}), _model(stage))
    parts = responder.unmask(stage.read(opened.sums[stage.victim], OpenedSums).sums, mask)
    # PD less label is negative where the label is 1.
    named = np.concatenate([part[0, :, 0] for part in parts]) < 0
    right = named == stage.joined.labels[training][rows]
    return f"{right.sum():,} of {right.size:,} labels, by one opening"


def _model(stage: Stage) -> str:
    return stage.model("federated-scorecard")


def _masked(stage: Stage) -> tuple[Begun, Grouped, Mapping[str, Letter[EncryptedSums]]]:
    """Follow the protocol up to the first masked sums of every party that fits something."""
    exchange, model = stage.exchange, _model(stage)
    started = exchange.ask_each(StartRequest(seed=stage.seed, split=stage.split), model)
    columns = {party: reply.columns for party, reply in started.items()}
    begun = exchange.ask_holder(BeginRequest(seed=stage.seed, split=stage.split, columns=columns), model)
    counted = exchange.ask_each(CountRequest(begun.labels), model)
    grouped = exchange.ask_holder(
        GroupRequest({party: reply.sums for party, reply in counted.items()}), model
    )
    requests = {
        party: FitRequest(groups=groups, residual=grouped.residual)
        for party, groups in grouped.groups.items()
    }
    masked = exchange.ask(requests, model)
    return begun, grouped, {party: reply.sums for party, reply in masked.items()}


MADE_UP = ActiveAttack(
    finding=3, title="crafted sums, in a party's name", by=By.COORDINATOR, play=open_made_up
)
ROWS = ActiveAttack(finding=3, title="single rows in place of groups", by=By.PASSIVE, play=open_rows)
