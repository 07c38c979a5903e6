"""The alignment: position k comes to mean the same row at every party, and nobody learns ids that it did not have.

A row is a business as of an observation month. Private set intersection (`intersection`) finds the businesses of the
label holder that each passive party knows; the label holder then says which rows there are, in an order that it has
shuffled, and every party answers as of each row's month and no later.

Conversation `alignment/1`, four round trips for any number of parties:

1. the label holder blinds its ids: `BlindRequest` → `BlindedIds`;
2. each passive party raises these points once more, and blinds its own ids: `RaiseRequest` → `RaisedIds`;
3. the label holder raises the passive parties' points, matches, and fixes the rows: `MatchRequest` → `Matched`;
4. every party learns its own business at each position: `OrderRequest` → `Aligned`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fl.messages import Count, PerRow, Reader, Request, Setting, ToLabelHolder, ToParties, ToPassive, request


@dataclass(frozen=True)
class BlindPoints:
    """Ids under a secret exponent: points (n, 32) uint8."""

    points: PerRow


@dataclass(frozen=True)
class BlindedIds:
    """The label holder's blinded ids, in a random order."""

    points: ToPassive[BlindPoints]


@request("blind", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True)
class BlindRequest(Request[BlindedIds]):
    """Asks the label holder to blind its ids under a fresh secret exponent."""


@dataclass(frozen=True, kw_only=True)
class BothPoints:
    """What a passive party makes of ids: points (n, 32) uint8 each.

    raised   the label holder's ids under both exponents, in the order in which they came
    blinded  its own ids under its exponent, in a random order
    """

    raised: PerRow
    blinded: PerRow


@dataclass(frozen=True)
class RaisedIds:
    """A passive party's part of the intersection."""

    points: ToLabelHolder[BothPoints]


@request("raise_points", to=Reader.PASSIVE)
@dataclass(frozen=True)
class RaiseRequest(Request[RaisedIds]):
    """The label holder's blinded ids, for a passive party to raise to a fresh exponent, by which it blinds its own."""

    points: ToPassive[BlindPoints]


@dataclass(frozen=True)
class Order:
    """What a party is told of the rows.

    businesses  int32 (n,): the place of each row's business among the ids that the party blinded, −1 where it does not
                know the business
    months      int32 (n,): each row's observation month in months since January 1970, −1 where the data have none or
                the party does not know the business
    """

    businesses: PerRow
    months: PerRow


@dataclass(frozen=True, kw_only=True)
class Matched:
    """How many positions there are, and by party, the label holder included, its `Order`."""

    positions: Count
    orders: Mapping[str, ToParties[Order]]


@request("match", to=Reader.LABEL_HOLDER, after=("blind",))
@dataclass(frozen=True, kw_only=True)
class MatchRequest(Request[Matched]):
    """For the label holder, what each passive party has made of its ids and of the label holder's.

    mode is `left` (all of the label holder's rows) or `inner` (those of businesses known to every party).
    """

    mode: Setting[str]
    points: Mapping[str, ToLabelHolder[BothPoints]]


@dataclass(frozen=True)
class Aligned:
    """The positions of the common order, and how many of them this party knows."""

    positions: Count
    known: Count


@request("order", after=("raise_points", "match"))
@dataclass(frozen=True)
class OrderRequest(Request[Aligned]):
    """For one party: its own `Order`."""

    order: ToParties[Order]
