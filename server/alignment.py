"""The coordinator's half of the alignment: it relays blinded ids and sees neither ids nor who matched by name."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fl.alignment import BlindRequest, MatchRequest, MeetRequest, OrderRequest, RaiseRequest
from fl.errors import ProtocolError
from server.exchange import Exchange
from server.roster import Roster

FEW = 0.05
"""Share of the smaller of two parties' businesses below which their overlap is probably a mistake."""
_CHECK = (
    "ids are compared as exact text, so check that both use the same kind of id, with the same letter case, "
    "leading zeros and prefix"
)


@dataclass(frozen=True)
class Alignment:
    """The common order: by label holder its block of positions, and how many positions each party knows."""

    blocks: Mapping[str, range]
    known: Mapping[str, int]

    @property
    def positions(self) -> int:
        """How many there are."""
        return sum(map(len, self.blocks.values()))

    @classmethod
    def together(cls, alignments: Iterable["Alignment"]) -> "Alignment":
        """The blocks of several banks, one after the other."""
        blocks, known, end = dict[str, range](), Counter[str](), 0
        for alignment in alignments:
            for bank, block in alignment.blocks.items():
                blocks[bank], end = range(end, end + len(block)), end + len(block)
            known.update(alignment.known)
        return cls(blocks, known)


def align(exchange: Exchange, mode: str, scoring: bool = False) -> Alignment:
    """Five round trips, four without passive parties: afterwards position k is the same row at every party.

    Raises ProtocolError when no business is common to all (`inner`), or a party knows none of the label holder's
    (`left`). In `scoring` a party may know none of a few applicants, and one that is lost on the way is left out of
    what is known.
    """
    roster = exchange.roster
    dispensable = roster.passive if scoring else ()
    met = exchange.ask_each(MeetRequest(roster.introductions), dispensable=dispensable)
    blinded = exchange.ask_holder(BlindRequest())
    questions = {party: RaiseRequest(blinded.points) for party in roster.passive if party in met}
    raised = exchange.ask(questions, dispensable=dispensable)
    request = MatchRequest(mode=mode, points={party: reply.points for party, reply in raised.items()})
    matched = exchange.ask_holder(request)
    if not matched.positions:
        raise ProtocolError(
            f"The alignment found no business that all parties know; is the id column the same? {_CHECK.capitalize()}."
        )
    orders = {party: OrderRequest(order) for party, order in matched.orders.items()}
    known = {party: answer.known for party, answer in exchange.ask(orders, dispensable=dispensable).items()}
    knowing_none = [party for party in known if not known[party]]
    if knowing_none and not scoring:
        raise ProtocolError(
            f"Party {', '.join(knowing_none)} knows no business of {roster.holder}; is the id column the same? "
            f"{_CHECK.capitalize()}."
        )
    return Alignment({roster.holder: range(matched.positions)}, known)


def doubts(alignment: Alignment, roster: Roster) -> str:
    """What to check when a party knows suspiciously few of the bank's businesses; empty if none does.

    The coordinator sees no id, so all it can tell is the count.
    """
    few = [
        f"{party} knows {alignment.known[party]:,} of {alignment.positions:,} businesses"
        for party in roster.passive
        if alignment.known[party] < FEW * min(alignment.positions, roster.descriptions[party].rows)
    ]
    return f"{', '.join(few)}: {_CHECK}." if few else ""
