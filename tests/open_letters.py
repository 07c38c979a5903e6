"""Tests of conversations see open letters: parties seal and verify them as always, and this stands in between.

It holds the keys of all parties. Letters of replies it opens for whoever asked; open letters of requests it seals and
signs as their senders do, also those that a test has made up in a sender's name, and those that have come before. So
what a test says in a letter reaches the conversation's half; what the post itself refuses is in `test_post.py`.
"""

from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from clients.app import PartyApp
from clients.post import Partners
from clients.session import Session, state_folder
from clients.store import Heard
from experiments.attacks.keyring import Keyring
from fl.config.run import RunConfig
from fl.errors import ProtocolError
from fl.messages import Letter, LetterField, declaration_of, letter_fields, with_letters
from fl.protocols import request_of
from fl.seals import Context as LetterContext
from fl.seals import seal, sign_head
from fl.wire import envelope_of, pack, refusal_in, unpack


class OpenLetters(ClientApp):
    """The parties' ClientApp, with open letters on the outside."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.config, self.keyring, self._app = config, Keyring(config), PartyApp()

    def __call__(self, message: Message, context: Context) -> Message:
        _, kind = request_of(message.metadata.message_type)
        message.content = self.sealed(message.content, kind, context)
        reply = self._app(message, context)
        if refusal_in(reply.content) is None:
            said = unpack(reply.content, *declaration_of(kind).replies)
            envelope = envelope_of(reply.content)
            reply.content = pack(self.keyring.opened(said, envelope.study), envelope)
        return reply

    def sealed(self, record: RecordDict, kind: type[Any], context: Context) -> RecordDict:
        """A request, its open letters sealed in the names of their senders, if its party has met them."""
        if not letter_fields(kind):
            return record
        try:
            request, envelope = unpack(record, kind), envelope_of(record)
        except ProtocolError:
            return record
        partition = int(context.node_config.get("partition-id", len(self.config.parties)))
        if partition >= len(self.config.parties):
            return record
        data = self.config.data_folder / self.config.parties[partition]
        session = Session(self.config, envelope, data, state_folder(self.config, data))
        if not session.study.has(Partners):
            return record
        partners, heard = session.study.read(Partners), dict(session.store.last().heard)

        def close(letter: Letter[Any], declared: LetterField, name: str) -> Letter[Any]:
            sender = name or partners.label_holder
            if letter.keys or sender not in self.keyring.identities:
                return letter
            model = letter.model or envelope.model
            last = heard.get(f"{model}:{sender}", Heard(0, ()))
            came = letter.step < last.step or (letter.step == last.step and declared.kind in last.kinds)
            step = last.step + 1 if came else letter.step
            kinds = (*last.kinds, declared.kind) if step == last.step else (declared.kind,)
            heard[f"{model}:{sender}"] = Heard(step, kinds)
            belongs = LetterContext(
                study=envelope.study,
                model=model,
                step=step,
                settings=self.config.digest,
                sender=sender,
                kind=declared.kind,
            )
            receivers = {name: one.keys for name, one in partners.introductions.items()}
            identity, encrypted = self.keyring.identities[sender], not declared.is_ciphertext
            head = letter.head if letter.head.signature else sign_head(1, "0" * 64, identity)
            said = Letter(letter.content)
            return seal(said, belongs, identity, receivers, head=head, encrypted=encrypted)

        return pack(with_letters(request, close), envelope)
