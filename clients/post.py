"""A party's post: what leaves it is signed and sealed to its receivers, and what arrives is verified and opened.

Conversations know nothing of it: they write and read open letters. In a reply, a mapping has the letter for each
receiver under its name; another letter is for all parties that its declaration lets read it. In a request, a mapping
has the letter of each sender under its name, and another letter comes from the label holder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from clients.store import Heard, Store
from fl.config.run import RunConfig
from fl.errors import ProtocolError
from fl.handshake import Introduction
from fl.messages import Head, Letter, LetterField, Reader, with_letters
from fl.records import Record
from fl.seals import Context, Identity, PublicKeys, is_head_of, seal, unseal, verify
from fl.wire import Envelope


@dataclass(frozen=True)
class Partners:
    """The parties of a study by name, this one included, as they introduced themselves when it began."""

    introductions: Mapping[str, Introduction]

    @property
    def label_holders(self) -> tuple[str, ...]:
        """Those that know the outcomes: of the study of all banks, every party."""
        return tuple(name for name, party in self.introductions.items() if party.holds_label)

    @property
    def label_holder(self) -> str:
        """The one that knows the outcomes. Raises ProtocolError in a study of several banks."""
        if len(self.label_holders) != 1:
            raise ProtocolError("in a study of several banks, a letter has to name its sender")
        return self.label_holders[0]

    def readers(self, reader: Reader) -> tuple[str, ...]:
        """The parties that a letter for `reader` is for."""
        return tuple(
            name
            for name, party in self.introductions.items()
            if reader is Reader.PARTIES or party.holds_label == (reader is Reader.LABEL_HOLDER)
        )


@dataclass
class Post:
    """Opens the letters of one request and seals those of its reply.

    heard has, by sender and model, what was opened before; a letter is opened once, and none after a later one. heads
    has, by sender, where its audit trail ended when it wrote the newest of the letters that are opened here.
    """

    name: str
    identity: Identity
    study: Store
    config: RunConfig
    envelope: Envelope
    heard: dict[str, Heard]
    heads: dict[str, Head] = field(default_factory=dict)

    @cached_property
    def partners(self) -> Partners:
        """The parties of the study. Raises ProtocolError before they have met."""
        if not self.study.has(Partners):
            raise ProtocolError("the parties of the study have not been introduced to each other")
        return self.study.read(Partners)

    def opened(self, request: Record) -> Record:
        """The request with open letters. Raises ProtocolError for one that is not what it must be."""
        return with_letters(request, self._open)

    def sealed(self, reply: Record, head: Head) -> Record:
        """The reply with sealed letters, which carry the head of this party's audit trail."""
        return with_letters(reply, partial(self._seal, head))

    def receivers(self, declared: LetterField, party: str) -> tuple[str, ...]:
        """Who gets a letter of this field; party is the name that a mapping has for it, else empty."""
        return (party,) if party else self.partners.readers(declared.reader)

    def _open(self, letter: Letter[Any], declared: LetterField, party: str) -> Letter[Any]:
        sender = party or self.partners.label_holder
        if letter.sender != sender or sender not in self.partners.introductions:
            raise ProtocolError(f"a letter of {sender} is needed, and one of {letter.sender[:100]!r} came")
        context = self._context(sender, letter.model, letter.step, declared)
        keys = self.partners.introductions[sender].keys
        verify(letter, context, keys)
        self._note_head(sender, letter.head, keys)
        # The split of the rows is told once per seed, for all models.
        seed = self.envelope.model.rpartition("/")[2]
        if letter.model not in (self.envelope.model, f"{declared.conversation}/{seed}"):
            raise ProtocolError(f"a letter of {sender} belongs to the model {letter.model}")
        self._hear(f"{letter.model}:{sender}", letter.step, context.kind)
        return unseal(letter, context, self.name, self.identity)

    def _seal(self, head: Head, letter: Letter[Any], declared: LetterField, party: str) -> Letter[Any]:
        receivers = self.receivers(declared, party)
        keys = {name: self.partners.introductions[name].keys for name in receivers}
        context = self._context(self.name, self.envelope.model, self.envelope.step, declared)
        encrypted = not declared.is_ciphertext
        return seal(letter, context, self.identity, keys, head=head, encrypted=encrypted)

    def _context(self, sender: str, model: str, step: int, declared: LetterField) -> Context:
        return Context(
            study=self.envelope.study,
            model=model,
            step=step,
            settings=self.config.digest,
            sender=sender,
            kind=declared.kind,
        )

    def _note_head(self, sender: str, head: Head, keys: PublicKeys) -> None:
        last = self.heads.get(sender, Head())
        # The letters of one message have one head.
        if head != last and not is_head_of(head, keys):
            raise ProtocolError(
                f"a letter of {sender} comes with a head of its audit trail that it has not signed"
            )
        self.heads[sender] = max(last, head, key=lambda one: one.number)

    def _hear(self, sender: str, step: int, kind: str) -> None:
        last = self.heard.get(sender, Heard(0, ()))
        if step < last.step or (step == last.step and kind in last.kinds):
            raise ProtocolError(f"a letter of step {step} of {sender} came after one of step {last.step}")
        self.heard[sender] = Heard(step, (*last.kinds, kind) if step == last.step else (kind,))
