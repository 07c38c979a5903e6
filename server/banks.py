"""The order of the conversation by which several banks train a model; see `fl/banks`. It adds, and knows not what."""

from collections.abc import Mapping

from fl.banks import Added, AddRequest, BeginRequest, PadKeys, ScoreRequest, Started, StartRequest
from fl.banks.programs import PROGRAMS, steps_of, sums_of
from fl.config.run import TrainingConfig
from fl.errors import ProtocolError
from fl.evaluation import Evaluation
from fl.messages import Letter
from fl.records import Array
from fl.secure_sums import added
from fl.workload import Plan, Sizes, Workload
from server.exchange import Exchange
from server.training import OfBanks, Training


def train(exchange: Exchange, training: Training) -> OfBanks:
    """Let the banks train one model over secure sums, and evaluate it; they keep it under `training.model`."""
    model, banks = training.model, exchange.roster.holders
    started = exchange.ask_each(StartRequest(training.seed), model)
    replies = exchange.ask({bank: BeginRequest(letters_for(bank, started)) for bank in banks}, model)
    while not replies[banks[0]].is_last:
        replies = exchange.ask_each(AddRequest(_total(replies)), model)
        first = replies[banks[0]]
        if first.step:
            steps = steps_of(training.contender, training.config)
            training.report(first.step, steps, ", ".join(banks), first.metrics)
    judged = exchange.ask_each(ScoreRequest(_total(replies)), model)
    evaluations = {bank: with_column_names(exchange, bank, judged[bank].evaluation) for bank in banks}
    return OfBanks(judged[banks[0]].whole, evaluations)


def with_column_names(exchange: Exchange, bank: str, evaluation: Evaluation) -> Evaluation:
    """The same with the names of the bank's columns, if it is that of a scorecard."""
    if "scorecard" not in evaluation.tables:
        return evaluation
    # Not above: it loads a solver, which no other contender of the banks needs.
    from server.scorecard import with_names

    return with_names(exchange, evaluation, [bank])


def letters_for(bank: str, started: Mapping[str, Started]) -> dict[str, Letter[PadKeys]]:
    """What the others have told a bank of their keys, by their names. Raises ProtocolError if one has not."""
    others = {other: reply.keys for other, reply in started.items() if other != bank}
    for other, keys in others.items():
        if bank not in keys:
            raise ProtocolError(f"{other} has told no keys for {bank}")
    return {other: keys[bank] for other, keys in others.items()}


def _total(replies: Mapping[str, Added]) -> Array:
    for bank, reply in replies.items():
        if reply.shown.dtype != "uint64" or reply.shown.ndim != 1:
            raise ProtocolError(f"{bank} has not shown whole numbers (k,) of 64 bits")
    return added(reply.shown for reply in replies.values())


def plan(config: TrainingConfig, sizes: Sizes) -> Plan:
    """What training takes, as far as that is known before: most of a round is one sum for each level of its trees."""
    contender = next(name for name in (*config.contenders, *PROGRAMS) if name in PROGRAMS)
    return Plan(
        rounds=steps_of(contender, config),
        once=Workload(round_trips=8, rows=sizes.rows, letters=0),
        each=Workload(round_trips=sums_of(contender, config), rows=sizes.training, letters=0),
    )
