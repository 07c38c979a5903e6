"""The Flower ClientApp: a party answers every request of every conversation (`fl/protocols.py`).

What answers is imported when the first message comes, and of the conversations only that message's: in deployment
Flower starts a fresh process for every message.
"""

import logging

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

log = logging.getLogger(__name__)


class PartyApp(ClientApp):
    """A ClientApp that answers what `fl.protocols.CONVERSATIONS` lists when a message comes.

    Flower would look an action up among functions that were registered before, which would take all messages' classes.
    """

    def __call__(self, message: Message, context: Context) -> Message:
        """The reply to a message, which is a refusal where the party cannot or may not answer."""
        from clients.answering import answer
        from clients.store import DiskFull, explained
        from fl.wire import refusal

        try:
            with explained():
                return answer(message, context)
        except Exception as error:
            # Not even the party's log could be written. Flower would send the text of what was raised to the
            # coordinator.
            log.exception("%s failed", message.metadata.message_type)
            why = (
                str(error)
                if isinstance(error, DiskFull)
                else "it met an unexpected error, which it could not log"
            )
            return Message(refusal(why), reply_to=message)


app = PartyApp()
