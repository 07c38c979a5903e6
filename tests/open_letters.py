"""Tests of conversations see open letters: parties seal and verify them as always, and this stands in between.

It holds the keys of all parties. Letters of replies it opens for whoever asked; open letters of requests it seals and
signs as their senders do, also those that a test has made up in a sender's name.
"""

from dataclasses import replace
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from clients.app import new_app
from clients.post import Partners
from clients.session import SCORING, state_folder
from clients.store import Store
from experiments.attacks.keyring import Keyring
from fl.config.run import RunConfig, ScoringConfig
from fl.messages import Letter, LetterField, declaration_of, with_letters
from fl.protocols import actions, message_type
from fl.seals import Context as LetterContext
from fl.seals import seal
from fl.wire import Envelope, envelope_of, pack, refusal_in, unpack


class OpenLetters(ClientApp):
    """The parties' ClientApp, with open letters on the outside."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.config, self.keyring, self._app = config, Keyring(config), new_app()

    def __call__(self, message: Message, context: Context) -> Message:
        kind = next(kind for _, kind in actions() if message_type(kind) == message.metadata.message_type)
        party = self.config.parties[int(context.node_config["partition-id"])]
        envelope = envelope_of(message.content)
        request = self.sealed(unpack(message.content, kind), party, envelope)
        sealed = Message(pack(request, envelope), message.metadata.dst_node_id, message.metadata.message_type)
        sealed.metadata.__dict__["_message_id"] = message.metadata.message_id
        reply = self._app(sealed, context)
        if refusal_in(reply.content) is None:
            said = unpack(reply.content, *declaration_of(kind).replies)
            reply.content = pack(self.keyring.opened(said), envelope_of(reply.content))
        return reply

    def sealed(self, request: Any, party: str, envelope: Envelope) -> Any:
        """A request to a party, its open letters sealed in the names of their senders."""
        folder = state_folder(self.config, self.config.data_folder / party)
        folder = (folder / SCORING if isinstance(self.config, ScoringConfig) else folder) / envelope.study
        if not Store(folder).has(Partners):
            return request
        partners = Store(folder).read(Partners)
        heard = Store(folder / envelope.model).last().heard

        def close(letter: Letter[Any], declared: LetterField, name: str) -> Letter[Any]:
            sender = name or partners.label_holder
            if letter.keys or sender not in self.keyring.identities:
                return letter
            last = heard.get(f"{envelope.model}:{sender}")
            model, step = (
                (letter.model, letter.step)
                if letter.sender
                else (envelope.model, last.step + 1 if last else 1)
            )
            context = LetterContext(
                study=envelope.study,
                model=model,
                step=step,
                settings=self.config.digest,
                sender=sender,
                kind=declared.kind,
            )
            receivers = {name: one.keys for name, one in partners.introductions.items()}
            return seal(
                replace(letter, sender="", keys={}),
                context,
                self.keyring.identities[sender],
                receivers,
                encrypted=not declared.is_ciphertext,
            )

        return with_letters(request, close)
