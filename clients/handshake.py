"""A party's description of itself."""

from clients.data.declaration import schema_hash
from clients.partners import introduce
from clients.session import Session
from fl import protocols
from fl.handshake import DescribeRequest, Description


def describe(session: Session, request: DescribeRequest) -> Description:
    """Who this party is and what it offers; its data are read and checked on the way."""
    declared = session.party.declaration
    return Description(
        name=declared.name,
        type=declared.type,
        columns=declared.column_names,
        kinds=tuple("numeric" if column.is_numeric else "categorical" for column in declared.columns),
        grades=tuple(column.grade for column in declared.columns),
        rows=len(session.party),
        target=declared.target.kind if declared.target else "",
        conversations=tuple(conversation.announced for conversation in protocols.CONVERSATIONS),
        schema=schema_hash(declared),
        introduction=introduce(session),
        pinned=bool(declared.partners),
    )
