"""A party's half of the alignment; see `fl/alignment` for the conversation.

Its result, kept in the study's store for every conversation after it, is the party's features in the common order
(`Table`), and at the label holder also the rows' ids, labels, months and segments (`Applications`).
"""

import os
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clients.aligned import Coverage, Schema, Sensitive, applications_of_rows, table_of, texts_of
from clients.applicants import ScoredIds, applications_of, features_at
from clients.data.declaration import schema_hash
from clients.partners import introduced
from clients.randomness import own_generator
from clients.session import Session
from fl.alignment import (
    Aligned,
    BlindedIds,
    BlindPoints,
    BlindRequest,
    BothPoints,
    Matched,
    MatchRequest,
    MeetRequest,
    Met,
    Order,
    OrderRequest,
    RaisedIds,
    RaiseRequest,
)
from fl.alignment.intersection import (
    Points,
    check_points,
    hash_to_points,
    match_points,
    new_exponent,
    raise_to,
)
from fl.arrays import check_integers
from fl.errors import ProtocolError
from fl.messages import Letter

_MONTHS = 12 * 1_000  # after January 1970: no month of a credit application is later


@dataclass(frozen=True)
class Blinded:
    """After blinding: the ids in the order of the points, and their secret exponent, which matching forgets.

    rows int64 (n,), at the label holder: where each row stands in its applications, in the common order.
    """

    ids: NDArray[np.str_]
    exponent: bytes
    rows: NDArray[np.int64]

    def points(self) -> Points:
        """The blinded ids."""
        return raise_to(hash_to_points(self.ids), self.exponent)


def meet(session: Session, request: MeetRequest) -> Met:
    """Step 1: check who takes part, and begin the study."""
    partners = introduced(session, request.partners)
    if len(partners.label_holders) != 1:
        raise ProtocolError("exactly one party of an alignment holds the label")
    session.make_room()
    session.study.keep(partners)
    return Met()


def blind(session: Session, request: BlindRequest) -> BlindedIds:
    """Step 2, the label holder: blind the ids, in an order that tells nothing."""
    applications = applications_of(session)
    rows = _random_order(len(applications)) if session.is_scoring else _secret_order(applications)
    ids = applications.index[rows].unique().to_numpy().astype(np.str_)
    if session.is_scoring:
        session.count("applicants_per_day", len(ids))
    blinded = Blinded(ids, new_exponent(), rows)
    session.keep(blinded)
    return BlindedIds(Letter.of(BlindPoints(blinded.points())))


def raise_points(session: Session, request: RaiseRequest) -> RaisedIds:
    """Step 3, a passive party: raise the label holder's points, which stay in its order, and blind its own ids."""
    points, ids = request.points.read(BlindPoints).points, session.party.ids()
    check_points(points)
    if session.is_scoring:
        session.policy.require("least_applicants", len(points))
        session.count("applicants_per_day", len(points))
    # The position in the message is all that the label holder learns of a business that it does not know.
    blinded = Blinded(ids[_random_order(len(ids))], new_exponent(), np.empty(0, np.int64))
    both = BothPoints(raised=raise_to(points, blinded.exponent), blinded=blinded.points())
    session.keep(blinded)
    return RaisedIds(Letter.of(both))


def match(session: Session, request: MatchRequest) -> Matched:
    """Step 4, the label holder: find its businesses at the others and fix the rows."""
    blinded = session.state(Blinded)
    if request.mode not in ("left", "inner"):
        raise ProtocolError("the alignment's mode must be left or inner")
    places = {}
    for party, letter in request.points.items():
        points = letter.read(BothPoints)
        check_points(points.raised)
        if len(points.raised) != len(blinded.ids):
            raise ProtocolError(f"raised points must be as many as the {len(blinded.ids)} blinded ids")
        places[party] = match_points(points.raised, raise_to(points.blinded, blinded.exponent))
    rows, applications = blinded.rows, applications_of(session)
    # A business may have several rows, each as of another month.
    business = pd.Index(blinded.ids).get_indexer(applications.index[rows]).astype(np.int32)
    if request.mode == "inner" and places:
        common = np.all([of_party >= 0 for of_party in places.values()], axis=0)[business]
        rows, business = rows[common], business[common]
    months = applications["month"].to_numpy()[rows].astype("datetime64[M]")
    numbers = np.where(np.isnat(months), -1, months.astype(np.int64))
    at_rows = {party: of_party[business] for party, of_party in places.items()}
    session.study.keep(Coverage({party: of_party >= 0 for party, of_party in at_rows.items()}))
    session.keep(replace(blinded, exponent=b"", rows=rows))
    at_rows[session.declaration.name] = business
    orders = {
        # The month of a business that a party does not know is none of that party's business.
        party: Letter.of(Order(of_party, np.where(of_party >= 0, numbers, -1).astype(np.int32)))
        for party, of_party in at_rows.items()
    }
    return Matched(positions=len(rows), orders=orders)


def order(session: Session, request: OrderRequest) -> Aligned:
    """Step 5: keep the features in the common order; the exponent is forgotten."""
    party, told = session.party, request.order.read(Order)
    if session.holds_label:
        rows = session.state(Blinded).rows
        applications = applications_of(session).iloc[rows]
        check_integers("months", told.months, len(applications), -1, _MONTHS)
        ids, known = applications.index.to_numpy().astype(np.str_), np.ones(len(applications), bool)
        session.study.keep(ScoredIds(ids) if session.is_scoring else applications_of_rows(applications))
        if party.declaration.sensitive and not session.is_scoring:
            session.study.keep(Sensitive(texts_of(party.sensitive().iloc[rows])))
    else:
        ids, known = _places(told, session.state(Blinded).ids)
    months = _to_months(told.months[known])
    if not session.is_scoring:
        party.warn(has_months=not np.isnat(months).all())
    session.study.keep(table_of(features_at(session, ids, months), known, party.declaration.columns))
    session.study.keep(Schema(schema_hash(party.declaration)))
    session.keep(None)
    return Aligned(len(known), int(known.sum()))


def _places(told: Order, ids: NDArray[np.str_]) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """At a passive party: the id of every row that it knows, and which rows those are. Raises ProtocolError."""
    check_integers("businesses", told.businesses, None, -1, len(ids))
    check_integers("months", told.months, len(told.businesses), -1, _MONTHS)
    known = told.businesses >= 0
    rows = np.stack([told.businesses[known], told.months[known]], axis=1)
    if len(np.unique(rows, axis=0)) < len(rows):
        raise ProtocolError("rows must name each business once for a month")
    return ids[told.businesses[known]], known


def _secret_order(applications: pd.DataFrame) -> NDArray[np.int64]:
    """An order (n,) of the applications that only the label holder can know, and that is the same for the same data.

    It is seeded by a hash of the table with the labels, which nobody else holds: the others cannot undo it, and a run
    can be repeated.
    """
    by_id = np.argsort(applications.index.to_numpy(), kind="stable")
    content = pd.util.hash_pandas_object(applications.iloc[by_id]).to_numpy().tobytes()
    return by_id[own_generator("order", content).permutation(len(by_id))]


def _random_order(count: int) -> NDArray[np.int64]:
    # NumPy's own generator could be worked out from the places of those that both know.
    return np.argsort(np.frombuffer(os.urandom(8 * count), np.uint64))


def _to_months(numbers: NDArray[np.int32]) -> NDArray[np.datetime64]:
    return np.where(numbers < 0, np.datetime64("NaT", "M"), numbers.astype(np.int64).astype("datetime64[M]"))
