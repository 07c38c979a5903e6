"""The Flower ClientApp: a party answers every request of every conversation (`fl/protocols.py`).

Nothing heavy is imported here, and a conversation's half only when its first message comes: in deployment Flower starts
a fresh process for every message.
"""

from functools import partial
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fl.messages import declaration_of
from fl.protocols import Conversation, actions


def new_app() -> ClientApp:
    """A ClientApp that answers what `fl.protocols.CONVERSATIONS` lists at this moment."""
    app = ClientApp()
    for conversation, kind in actions():
        declaration = declaration_of(kind)
        register = app.query if declaration.is_query else app.train
        register(f"{conversation.name}_{declaration.action}")(partial(_handle, conversation, kind))
    return app


def _handle(conversation: Conversation, kind: type[Any], message: Message, context: Context) -> Message:
    from clients.session import answer

    return answer(conversation, kind, message, context)


app = new_app()
