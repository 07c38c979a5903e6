"""The Flower ClientApp: a party answers every request of every conversation (`fl/protocols.py`).

Nothing heavy is imported here, and a conversation's half only when its first message comes: in deployment Flower starts
a fresh process for every message.
"""

import logging
from functools import partial
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fl.messages import declaration_of
from fl.protocols import Conversation, actions
from fl.wire import refusal

log = logging.getLogger(__name__)


def new_app() -> ClientApp:
    """A ClientApp that answers what `fl.protocols.CONVERSATIONS` lists at this moment."""
    app = ClientApp()
    for conversation, kind in actions():
        declaration = declaration_of(kind)
        register = app.query if declaration.is_query else app.train
        register(f"{conversation.name}_{declaration.action}")(partial(_handle, conversation, kind))
    return app


def _handle(conversation: Conversation, kind: type[Any], message: Message, context: Context) -> Message:
    try:
        from clients.session import answer

        return answer(conversation, kind, message, context)
    except Exception:
        # Not even the party's log could be written. Flower would send the text of what was raised to the coordinator.
        log.exception("%s of %s failed", kind.__name__, conversation.name)
        return Message(refusal("it met an unexpected error, which it could not log"), reply_to=message)


app = new_app()
