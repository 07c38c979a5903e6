"""The coordinator's half of the toy protocol."""

from fl.config.run import TrainingConfig
from fl.evaluation import Evaluation
from fl.workload import Plan, Sizes, Workload
from server.exchange import Exchange
from server.training import Training
from tests.toy.messages import FitRequest, StartRequest, TellRequest


def train(exchange: Exchange, training: Training) -> Evaluation:
    exchange.ask_each(StartRequest(training.assigned.split), training.model)
    told = exchange.ask_each(TellRequest(), training.model)
    request = FitRequest({party: reply.column for party, reply in told.items()})
    return exchange.ask_holder(request, training.model).evaluation


def plan(config: TrainingConfig, sizes: Sizes) -> Plan:
    once = Workload(round_trips=2, rows=sizes.rows, letters=8 * sizes.rows * sizes.passive_columns)
    return Plan(rounds=1, once=once, each=Workload(round_trips=1, rows=sizes.rows, letters=0))
