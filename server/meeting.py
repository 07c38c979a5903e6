"""The coordinator's half of the meeting of banks; see `fl/meeting.py`."""

from fl.meeting import MeetRequest
from server.exchange import Exchange


def introduce_banks(exchange: Exchange) -> None:
    """One round trip: afterwards the banks of a federation know each other, in the study of all."""
    roster = exchange.roster
    banks = {name: roster.descriptions[name].introduction for name in roster.holders}
    exchange.ask_each(MeetRequest(banks))
