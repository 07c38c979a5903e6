"""The order of the conversation that trains and evaluates a split network; see `fl/network`."""

import numpy as np

from fl.config import NetworkConfig
from fl.evaluation import Evaluation
from fl.handshake import Roster
from fl.network import (
    VERSION,
    BackwardRequest,
    Embeddings,
    EmbedRequest,
    Finished,
    FinishRequest,
    Floats,
    ForwardRequest,
    Gradients,
    ScoreRequest,
    Started,
    StartRequest,
    training_batches,
)
from fl.scoring import Scored
from server.exchange import Exchange
from server.training import Training

PROTOCOL = VERSION


def round_trips(config: NetworkConfig, passive: int) -> int:
    """The most round trips that `train` takes: 4 + 2 · batches, or 3 + batches without passive parties."""
    return 4 + 2 * config.batches if passive else 3 + config.batches


def train(exchange: Exchange, roster: Roster, training: Training) -> Evaluation:
    """Train one split network from start to evaluation; parties keep their parts under `training.model`."""
    model = training.model
    start = StartRequest(training.seed, training.roles)
    exchange.ask("train.network_start", dict.fromkeys(roster.all, start), Started, model)
    keep = _train_batches(exchange, roster, training)
    finish = {party: FinishRequest(keep and party in roster.passive) for party in roster.all}
    exchange.ask("train.network_finish", finish, Finished, model)
    embedded = _ask_passive(exchange, roster, "evaluate.network_embed", EmbedRequest(), model)
    score = ScoreRequest({party: reply.batch for party, reply in embedded.items()})
    scored = exchange.ask("evaluate.network_score", {roster.active: score}, Scored, model)
    return Evaluation.from_arrays(scored[roster.active].evaluation)


def _train_batches(exchange: Exchange, roster: Roster, training: Training) -> bool:
    """All batches until validation stops improving; whether the last weights sent out are the best."""
    config, model = training.config.network, training.model
    gradients: dict[str, Floats] = dict.fromkeys(roster.passive, np.empty((0, config.embedding), np.float32))
    keep, looks_without_improvement = False, 0
    for number, positions in enumerate(training_batches(training.roles, training.seed, config), start=1):
        evaluate = number % config.evaluate_every == 0 or number == config.batches
        requests = {
            party: ForwardRequest(positions, gradients[party], keep, evaluate) for party in roster.passive
        }
        embedded = exchange.ask("train.network_forward", requests, Embeddings, model) if requests else {}
        training.report(number, config.batches, ", ".join(embedded))
        request = BackwardRequest(
            positions,
            {party: reply.batch for party, reply in embedded.items()},
            {party: reply.validation for party, reply in embedded.items() if evaluate},
            evaluate,
        )
        reply = exchange.ask("train.network_backward", {roster.active: request}, Gradients, model)[
            roster.active
        ]
        gradients, keep = dict(reply.gradients), reply.improved
        metrics = {"train.loss": reply.loss}
        if evaluate:
            metrics |= {"valid.auc": reply.validation_auc, "valid.loss": reply.validation_loss}
            looks_without_improvement = 0 if reply.improved else looks_without_improvement + 1
        training.report(number, config.batches, roster.active, metrics)
        if looks_without_improvement >= config.patience:
            break
    return keep


def _ask_passive(
    exchange: Exchange, roster: Roster, action: str, request: object, model: str
) -> dict[str, Embeddings]:
    if not roster.passive:
        return {}
    return exchange.ask(action, dict.fromkeys(roster.passive, request), Embeddings, model)
