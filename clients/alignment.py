"""A party's half of the alignment; see `fl/alignment.py` for the conversation.

Its result, kept in the study's store for every protocol after it, is the party's features in the common order
(`features`), and at the active party also its ids, labels, months and segments (`applications`).
"""

import os

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clients.aligned import write_applicants, write_applications, write_coverage, write_schema, write_table
from clients.data.applicants import applications_of
from clients.data.declaration import schema_hash
from clients.parties import Party
from clients.randomness import own_generator
from clients.session import Session
from fl.alignment import (
    Aligned,
    BlindedIds,
    BlindRequest,
    MatchRequest,
    OrderRequest,
    RaisedIds,
    RaiseRequest,
    RowOrders,
    hash_to_points,
    match_points,
    new_exponent,
    raise_to,
)
from fl.arrays import check_integers, check_names
from fl.errors import ProtocolError

_MONTHS = 12 * 1_000  # after January 1970: no month of a credit application is later


def blind(session: Session, request: BlindRequest) -> BlindedIds:
    """Step 1: blind the own ids, in an order that tells nothing."""
    if session.envelope.step != 1:
        raise ProtocolError("a study is aligned once")
    session.begin_study()
    party = session.party
    ids = _applicants(session) if party.declaration.label is not None else _randomly_ordered(party.ids())
    exponent = new_exponent()
    session.state = {"ids": ids, "exponent": np.frombuffer(exponent, np.uint8)}
    return BlindedIds(raise_to(hash_to_points(ids), exponent))


def raise_points(session: Session, request: RaiseRequest) -> RaisedIds:
    """Step 2, a passive party: raise the bank's points; they stay in the bank's order."""
    return RaisedIds(raise_to(request.points, session.state["exponent"].tobytes()))


def match(session: Session, request: MatchRequest) -> RowOrders:
    """Step 3, the active party: find each of its businesses at the others and fix the positions."""
    ids, exponent = session.state["ids"], session.state["exponent"].tobytes()
    check_names("raised points", request.raised, request.blinded)
    if request.mode not in ("left", "inner"):
        raise ProtocolError("the alignment's mode must be left or inner")
    if any(len(points) != len(ids) for points in request.raised.values()):
        raise ProtocolError(f"raised points must be as many as the {len(ids)} blinded ids")
    orders = {
        name: match_points(request.raised[name], raise_to(points, exponent))
        for name, points in request.blinded.items()
    }
    if request.mode == "inner" and orders:
        common = np.all([rows >= 0 for rows in orders.values()], axis=0)
        ids, orders = ids[common], {name: rows[common] for name, rows in orders.items()}
    applications = applications_of(session)
    months = applications["month"].reindex(ids).to_numpy().astype("datetime64[M]")
    session.state = {"ids": ids}
    write_coverage(session.study, {name: rows >= 0 for name, rows in orders.items()})
    return RowOrders(orders, _to_numbers(months))


def order(session: Session, request: OrderRequest) -> Aligned:
    """Step 4: keep the own features in the common order; the exponent is forgotten."""
    ids, party = session.state["ids"], session.party
    holds_label = party.declaration.label is not None
    rows = np.arange(len(ids), dtype=np.int32) if holds_label else request.rows
    check_integers("rows", rows, None, -1, len(ids))
    check_integers("months", request.months, len(rows), -1, _MONTHS)
    known = rows >= 0
    if len(np.unique(rows[known])) < known.sum():
        raise ProtocolError("rows must name each business once")
    frame = party.matrix(ids[rows[known]], _to_months(request.months[known]))
    write_table(session.study, frame, known)
    write_schema(session.study, schema_hash(party.declaration))
    if holds_label and session.is_scoring:
        write_applicants(session.study, ids)
    elif holds_label:
        write_applications(session.study, party.applications().loc[ids])
    session.state = {}
    return Aligned(len(rows), int(known.sum()))


def _applicants(session: Session) -> NDArray[np.str_]:
    """The active party's ids, in an order that nobody else can know."""
    if session.is_scoring:
        return _randomly_ordered(applications_of(session).index.to_numpy().astype(np.str_))
    return _shuffled(session.party)


def _shuffled(party: Party) -> NDArray[np.str_]:
    """The active party's applicants in a fixed order that only it can know.

    The permutation is seeded by a hash of its own table with the labels, which nobody else holds: the others
    cannot undo it, and the same data give the same order, so that a run can be repeated.
    """
    applications = party.applications().sort_index()
    rng = own_generator("order", pd.util.hash_pandas_object(applications).to_numpy().tobytes())
    return rng.permutation(applications.index.to_numpy().astype(np.str_))


def _randomly_ordered(ids: NDArray[np.str_]) -> NDArray[np.str_]:
    # The position in the message is all that the bank learns of a business that it does not know. NumPy's own
    # generator could be worked out from the places of those that both know.
    return ids[np.argsort(np.frombuffer(os.urandom(8 * len(ids)), np.uint64))]


def _to_numbers(months: NDArray[np.datetime64]) -> NDArray[np.int32]:
    return np.where(np.isnat(months), -1, months.astype(np.int64)).astype(np.int32)


def _to_months(numbers: NDArray[np.int32]) -> NDArray[np.datetime64]:
    months = numbers.astype(np.int64).astype("datetime64[M]")
    months[numbers < 0] = np.datetime64("NaT", "M")
    return months
