"""The order of the conversation that blends models: one question to the label holder; see `fl/blend.py`."""

from fl.blend import BlendRequest
from fl.config.run import TrainingConfig
from fl.evaluation import Evaluation
from fl.workload import Plan, Sizes, Workload
from server.exchange import Exchange
from server.training import Training


def train(exchange: Exchange, training: Training) -> Evaluation:
    """Let the label holder blend the models of the study and seed, and evaluate the blend."""
    evaluation = exchange.ask_holder(BlendRequest(), training.model).evaluation
    training.report(1, 1, exchange.roster.holder)
    return evaluation


def plan(config: TrainingConfig, sizes: Sizes) -> Plan:
    """What blending takes: one round trip, and nothing of what the passive parties have."""
    once = Workload(round_trips=1, rows=sizes.rows, letters=0)
    return Plan(rounds=0, once=once, each=Workload(round_trips=0, rows=0, letters=0))
