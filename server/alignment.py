"""The coordinator's half of the alignment: it relays blinded ids and sees neither ids nor who matched by name."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fl.alignment import (
    Aligned,
    BlindedIds,
    BlindRequest,
    MatchRequest,
    OrderRequest,
    RaisedIds,
    RaiseRequest,
    RowOrders,
)
from fl.errors import ProtocolError
from fl.handshake import Roster
from server.exchange import Exchange

FEW = 0.05
"""Share of the smaller of two parties' businesses below which their overlap is probably a mistake."""
_CHECK = (
    "ids are compared as exact text, so check that both use the same kind of id, with the same letter case, "
    "leading zeros and prefix"
)


@dataclass(frozen=True)
class Alignment:
    """The common order: how many positions, and how many of them each party knows."""

    positions: int
    known: Mapping[str, int]


def align(exchange: Exchange, roster: Roster, mode: str, scoring: bool = False) -> Alignment:
    """Four round trips, three without passive parties: afterwards position k is the same business at every party.

    Raises ProtocolError when no business is common to all (`inner`), or a party knows none of the bank's (`left`). In
    `scoring` a party may know none of a few applicants, and one that is lost on the way is left out of what is known.
    """
    dispensable = roster.passive if scoring else ()
    blinded = exchange.ask(
        "train.alignment_blind", dict.fromkeys(roster.all, BlindRequest()), BlindedIds, "", dispensable
    )
    bank_points = blinded.pop(roster.active).points
    raised = {}
    if blinded:
        questions = {party: RaiseRequest(bank_points) for party in blinded}
        raised = exchange.ask("train.alignment_raise_points", questions, RaisedIds, "", dispensable)
    request = MatchRequest(
        mode,
        {party: blinded[party].points for party in roster.passive if party in raised},
        {party: raised[party].points for party in roster.passive if party in raised},
    )
    found = exchange.ask("train.alignment_match", {roster.active: request}, RowOrders)[roster.active]
    if not len(found.months):
        raise ProtocolError(
            f"The alignment found no business that all parties know; is the id column the same? {_CHECK.capitalize()}."
        )
    orders = {roster.active: OrderRequest(np.empty(0, np.int32), found.months)}
    for party, rows in found.orders.items():
        # The month of a business that a party does not know is none of its business.
        orders[party] = OrderRequest(rows, np.where(rows >= 0, found.months, -1).astype(np.int32))
    answers = exchange.ask("train.alignment_order", orders, Aligned, "", dispensable)
    known = {party: answer.known for party, answer in answers.items()}
    knowing_none = [party for party in known if not known[party]]
    if knowing_none and not scoring:
        raise ProtocolError(
            f"Party {', '.join(knowing_none)} knows no business of {roster.active}; is the id column the same? "
            f"{_CHECK.capitalize()}."
        )
    return Alignment(len(found.months), known)


def doubts(alignment: Alignment, roster: Roster) -> str:
    """What to check when a party knows suspiciously few of the bank's businesses; empty if none does.

    The coordinator sees no id, so all it can tell is the count.
    """
    few = []
    for party in roster.passive:
        known = alignment.known[party]
        possible = min(alignment.positions, roster.descriptions[party].rows)
        if known < FEW * possible:
            few.append(f"{party} knows {known:,} of {alignment.positions:,} businesses")
    return f"{', '.join(few)}: {_CHECK}." if few else ""
