"""The coordinator's half of a bank's joining of others; see `fl/joining.py`."""

from fl.errors import ProtocolError
from fl.joining import HandOverRequest, TakeRequest
from server.banks import with_column_names
from server.exchange import Exchange
from server.roster import Roster
from server.training import OfBanks, Training


def giver_of(roster: Roster, newcomer: str) -> str:
    """The bank that hands the models to the newcomer. Raises ProtocolError unless these two are the banks."""
    others = [bank for bank in roster.holders if bank != newcomer]
    if len(others) != 1 or len(roster.holders) != 2:
        raise ProtocolError(
            f"The newcomer {newcomer!r} joins by one bank that hands it the models; the banks of this run are "
            f"{', '.join(roster.holders)}."
        )
    return others[0]


def train(exchange: Exchange, training: Training) -> OfBanks:
    """Instead of a training: let the newcomer have a model of the other banks, and evaluate it on its test rows."""
    model, newcomer = training.model, training.config.newcomer
    giver = giver_of(exchange.roster, newcomer)
    handed = exchange.ask({giver: HandOverRequest()}, model)[giver].models
    if newcomer not in handed:
        raise ProtocolError(f"{giver} has handed no model to {newcomer}")
    taken = exchange.ask({newcomer: TakeRequest({giver: handed[newcomer]})}, model)[newcomer]
    return OfBanks(with_column_names(exchange, newcomer, taken.evaluation), {})
