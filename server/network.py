"""The order of the conversation that trains and evaluates a split network; see `fl/network`."""

from collections.abc import Mapping

from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.evaluation import Evaluation
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
from fl.workload import Plan, Sizes, Workload
from server.exchange import Exchange
from server.training import Training


def train(exchange: Exchange, training: Training) -> Evaluation:
    """Train one split network from start to evaluation; the parties keep their parts under `training.model`."""
    model = training.model
    exchange.ask_each(StartRequest(seed=training.seed, split=training.assigned.split), model)
    exchange.ask_each(FinishRequest(_train_batches(exchange, training).verdict), model)
    told = exchange.ask_each(EmbedRequest(), model)
    score = ScoreRequest({party: reply.embeddings for party, reply in told.items()})
    return exchange.ask_holder(score, model).evaluation


def _train_batches(exchange: Exchange, training: Training) -> Ended:
    """All batches until the label holder ends the training. What comes next is in its last reply alone."""
    batches, model = training.config.section(NetworkConfig).batches, training.model
    lessons: Mapping[str, Letter[Lesson]] = {}
    batch = 1
    while True:
        forward = {
            party: ForwardRequest(batch=batch, lesson=lessons.get(party)) for party in exchange.roster.passive
        }
        embedded = exchange.ask(forward, model)
        training.report(batch, batches, ", ".join(embedded))
        backward = BackwardRequest(
            batch=batch, embeddings={party: reply.embeddings for party, reply in embedded.items()}
        )
        learned = exchange.ask_holder(backward, model)
        training.report(batch, batches, exchange.roster.holder, learned.metrics)
        if isinstance(learned, Ended):
            return learned
        lessons, batch = learned.lessons, learned.batch + 1


TRAINED = 0.95
"""What `plan` assumes: the share of the batches after which training ends by its patience."""


def plan(config: TrainingConfig, sizes: Sizes) -> Plan:
    """What training usually takes, in rounds of a batch."""
    network, parties = config.section(NetworkConfig), len(sizes.columns)
    embedding = 4 * network.embedding * sizes.known_share  # bytes of a row at all passive parties
    rows, looked_at = min(network.batch_size, sizes.training), sizes.validation / network.evaluate_every
    is_patient = network.patience * network.evaluate_every >= network.batches
    return Plan(
        rounds=network.batches if is_patient else round(TRAINED * network.batches),
        once=Workload(
            round_trips=4,
            rows=sizes.rows,
            letters=sizes.rows * (1 + parties) + 2 * embedding * sizes.rows,
        ),
        each=Workload(
            round_trips=2,
            # To learn from a row takes ten times as long as to look at it.
            rows=rows + looked_at / 10,
            # Embeddings and their gradients of the batch, and embeddings of the rows that a look is at.
            letters=2 * embedding * (2 * rows + looked_at),
        ),
    )
