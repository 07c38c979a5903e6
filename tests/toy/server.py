"""The coordinator's half of the toy protocol."""

from fl.evaluation import Evaluation
from server.exchange import Exchange
from server.training import Training
from tests.toy.messages import FitRequest, StartRequest, TellRequest


def train(exchange: Exchange, training: Training) -> Evaluation:
    exchange.ask_each(StartRequest(training.assigned.split), training.model)
    told = exchange.ask_each(TellRequest(), training.model)
    request = FitRequest({party: reply.column for party, reply in told.items()})
    return exchange.ask_holder(request, training.model).evaluation
