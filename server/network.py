"""The order of the conversation that trains and evaluates a split network; see `fl/network`."""

from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.evaluation import Evaluation
from fl.handshake import Roster
from fl.network import (
    BackwardRequest,
    EmbedRequest,
    Ended,
    FinishRequest,
    ForwardRequest,
    Learned,
    ScoreRequest,
    StartRequest,
)
from server.exchange import Exchange
from server.training import Training


def round_trips(config: TrainingConfig, passive: int) -> int:
    """The most round trips that `train` takes: 4 + 2 · batches, or 3 + batches without passive parties."""
    batches = config.section(NetworkConfig).batches
    return 4 + 2 * batches if passive else 3 + batches


def train(exchange: Exchange, roster: Roster, training: Training) -> Evaluation:
    """Train one split network from start to evaluation; the parties keep their parts under `training.model`."""
    model = training.model
    start = StartRequest(seed=training.seed, split=training.assigned.split)
    exchange.ask(dict.fromkeys(roster.all, start), model)
    ended = _train_batches(exchange, roster, training)
    exchange.ask(dict.fromkeys(roster.all, FinishRequest(ended.verdict)), model)
    told = exchange.ask(dict.fromkeys(roster.passive, EmbedRequest()), model)
    score = ScoreRequest({party: reply.embeddings for party, reply in told.items()})
    return exchange.ask_one(roster.holder, score, model).evaluation


def _train_batches(exchange: Exchange, roster: Roster, training: Training) -> Ended:
    """All batches until the label holder ends the training."""
    config, model = training.config.section(NetworkConfig), training.model
    batch = 0
    reply: Learned | Ended = Learned.none()
    while isinstance(reply, Learned):
        batch += 1
        look = batch % config.evaluate_every == 0 or batch == config.batches
        forward = {
            party: ForwardRequest(batch=batch, lesson=reply.lessons.get(party), look=look)
            for party in roster.passive
        }
        embedded = exchange.ask(forward, model)
        training.report(batch, config.batches, ", ".join(embedded))
        backward = BackwardRequest(
            batch=batch,
            look=look,
            embeddings={party: answer.batch for party, answer in embedded.items()},
            validation={
                p: answer.validation for p, answer in embedded.items() if answer.validation is not None
            },
        )
        reply = exchange.ask_one(roster.holder, backward, model)
        metrics = {"train.loss": reply.loss} if isinstance(reply, Learned) else {}
        if look:
            metrics |= {"valid.auc": reply.validation_auc, "valid.loss": reply.validation_loss}
        training.report(batch, config.batches, roster.holder, metrics)
    return reply
