"""The order of the conversation that trains and evaluates a split network; see `fl/network`."""

from collections.abc import Mapping

from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.evaluation import Evaluation
from fl.handshake import Roster
from fl.messages import Letter
from fl.network import (
    BackwardRequest,
    EmbedRequest,
    Ended,
    FinishRequest,
    ForwardRequest,
    Lesson,
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
    batches, model = training.config.section(NetworkConfig).batches, training.model
    lessons: Mapping[str, Letter[Lesson]] = {}
    batch = 1
    while True:
        forward = {party: ForwardRequest(batch=batch, lesson=lessons.get(party)) for party in roster.passive}
        embedded = exchange.ask(forward, model)
        training.report(batch, batches, ", ".join(embedded))
        backward = BackwardRequest(
            batch=batch, embeddings={party: reply.embeddings for party, reply in embedded.items()}
        )
        learned = exchange.ask_one(roster.holder, backward, model)
        training.report(batch, batches, roster.holder, learned.metrics)
        if isinstance(learned, Ended):
            return learned
        lessons, batch = learned.lessons, batch + 1
