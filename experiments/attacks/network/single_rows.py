"""Batches of one row: the exact loss of a batch is told to the coordinator, and that of a single row is its label."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from experiments.attacks.active import ActiveAttack, By, Stage
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.messages import Letter
from fl.network import (
    BackwardRequest,
    BatchEmbeddings,
    Embedded,
    Ended,
    ForwardRequest,
    Learned,
    Lesson,
    StartRequest,
    training_batches,
)
from fl.splits import Split

ROWS = 100


def one_row_each(config: TrainingConfig) -> TrainingConfig:
    """Settings that ask for batches of one row."""
    network = replace(config.section(NetworkConfig), batch_size=1, batches=ROWS + 1, patience=ROWS)
    return config.with_section(network)


def read_losses(stage: Stage) -> str:
    """Train as an honest coordinator does, and take a row for bad whose loss is above that of a coin."""
    begin(stage)
    lessons: Mapping[str, Letter[Lesson]] = {}
    losses = []
    for batch in range(1, ROWS + 1):
        learned = learn(stage, batch, embed(stage, batch, lessons))
        if isinstance(learned, Ended):
            break
        lessons, losses = learned.lessons, [*losses, learned.loss]
    config = stage.config.section(NetworkConfig)
    roles = stage.store(stage.holder, f"splits/{stage.seed}").read(Split).roles
    rows = np.concatenate(training_batches(roles, stage.seed, config))[: len(losses)]
    right = (np.array(losses) > np.log(2)) == stage.joined.labels[rows]
    return f"{right.sum():,} of {right.size:,} labels, by the losses of batches"


def begin(stage: Stage) -> None:
    """Begin a network at all parties."""
    stage.exchange.ask_each(StartRequest(seed=stage.seed, split=stage.split), _model(stage))


def embed(
    stage: Stage, batch: int, lessons: Mapping[str, Letter[Lesson]]
) -> dict[str, Letter[BatchEmbeddings]]:
    """The embeddings of a batch, by passive party."""
    requests = {
        party: ForwardRequest(batch=batch, lesson=lessons.get(party))
        for party in stage.exchange.roster.passive
    }
    replies: Mapping[str, Embedded] = stage.exchange.ask(requests, _model(stage))
    return {party: reply.embeddings for party, reply in replies.items()}


def learn(stage: Stage, batch: int, embeddings: Mapping[str, Letter[BatchEmbeddings]]) -> Learned | Ended:
    """What the bank learns from a batch by these embeddings."""
    return stage.exchange.ask_holder(BackwardRequest(batch=batch, embeddings=embeddings), _model(stage))


def _model(stage: Stage) -> str:
    return stage.model("federated-network")


LOSSES = ActiveAttack(
    finding=7, title="batches of one row", by=By.COORDINATOR, play=read_losses, changed=one_row_each
)
