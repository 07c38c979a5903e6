"""The coordinator's half of the toy protocol."""

from fl.config.run import TrainingConfig
from fl.evaluation import Evaluation
from fl.handshake import Roster
from server.exchange import Exchange
from server.training import Training
from tests.toy.messages import FitRequest, StartRequest, TellRequest


def round_trips(config: TrainingConfig, passive: int) -> int:
    return 3 if passive else 2


def train(exchange: Exchange, roster: Roster, training: Training) -> Evaluation:
    exchange.ask(dict.fromkeys(roster.all, StartRequest(training.assigned.split)), training.model)
    told = exchange.ask(dict.fromkeys(roster.passive, TellRequest()), training.model)
    request = FitRequest({party: reply.column for party, reply in told.items()})
    return exchange.ask_one(roster.holder, request, training.model).evaluation
