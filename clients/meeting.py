"""A bank's half of the meeting of banks; see `fl/meeting.py`."""

from clients.partners import introduced
from clients.session import Session
from fl.errors import ProtocolError
from fl.meeting import MeetRequest, Met


def meet(session: Session, request: MeetRequest) -> Met:
    """Check who the other banks are, and begin the study."""
    partners = introduced(session, request.banks)
    if len(partners.label_holders) != len(partners.introductions) or len(partners.introductions) < 2:
        raise ProtocolError("two banks or more meet, each with labels, and nobody else")
    session.make_room()
    session.study.keep(partners)
    return Met()
