"""A party's description of itself."""

from clients.data.declaration import schema_hash
from clients.session import Session
from fl import alignment, boosting, handshake, network, scorecard, scoring, splits
from fl.handshake import DescribeRequest, Description

PROTOCOLS = (
    handshake.VERSION,
    alignment.VERSION,
    splits.VERSION,
    scoring.VERSION,
    boosting.VERSION,
    scorecard.VERSION,
    network.VERSION,
)


def describe(session: Session, request: DescribeRequest) -> Description:
    """Who this party is and what it offers; its data are read and checked on the way."""
    party = session.party
    declared = party.declaration
    return Description(
        name=declared.name,
        type=declared.type,
        columns=declared.column_names,
        kinds=tuple(column.kind for column in declared.columns),
        grades=tuple(column.grade for column in declared.columns),
        rows=len(party),
        holds_label=declared.label is not None,
        protocols=PROTOCOLS,
        schema=schema_hash(declared),
    )
