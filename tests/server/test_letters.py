"""The coordinator moves letters. It opens none, and could not."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message

from experiments.backends.inline import InlineGrid
from fl.errors import ProtocolError
from fl.messages import Letter, LetterField, with_letters
from fl.protocols import vertical_contenders
from fl.records import Record
from server.coordinator import assign_roles, train, train_reserve
from server.exchange import Exchange
from server.progress import ignore
from server.training import Training


class Post:
    """Notes what letters the parties write and read; whoever does either outside of a party's answer fails.

    carried are the letters that came to the coordinator with the class of what they say, but those of ciphertext alone.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: set[bytes] = set()
        self.read: set[bytes] = set()
        self.carried: list[tuple[Letter[Any], type[Any]]] = []
        at_a_party = False
        push, ask, write, read = InlineGrid.push_messages, Exchange.ask, Letter.of, Letter.read

        # The parties of this grid answer while it takes the messages.
        def deliver(grid: InlineGrid, messages: Iterable[Message]) -> Iterable[str]:
            nonlocal at_a_party
            at_a_party = True
            try:
                return push(grid, messages)
            finally:
                at_a_party = False

        def written(text: object) -> Letter[Any]:
            assert at_a_party, "the coordinator has written a letter"
            letter: Letter[Any] = write(text)
            self.written.add(letter.content)
            return letter

        def opened(letter: Letter[Any], kind: type[Any]) -> object:
            assert at_a_party, "the coordinator has opened a letter"
            self.read.add(letter.content)
            return read(letter, kind)

        def note(letter: Letter[Any], declared: LetterField, _: str) -> Letter[Any]:
            if not declared.is_ciphertext:
                self.carried.append((letter, declared.record))
            return letter

        def asked(exchange: Exchange, *arguments: Any, **options: Any) -> dict[str, Record]:
            replies = ask(exchange, *arguments, **options)
            return {party: with_letters(reply, note) for party, reply in replies.items()}

        monkeypatch.setattr(InlineGrid, "push_messages", deliver)
        monkeypatch.setattr(Exchange, "ask", asked)
        monkeypatch.setattr(Letter, "of", staticmethod(written))
        monkeypatch.setattr(Letter, "read", opened)


# A blend moves no letter in training.
@pytest.mark.parametrize("contender", [name for name in vertical_contenders() if name != "federated-blend"])
def test_the_parties_read_what_parties_wrote_and_the_coordinator_neither(
    tables: Path, federate: Callable, monkeypatch: pytest.MonkeyPatch, contender: str
) -> None:
    with monkeypatch.context() as patch:
        post = Post(patch)
        run = federate(tables, sealed=True)
        of_alignment = len(post.read)
        assert of_alignment

        assigned = assign_roles(run.federation, 1)
        train_reserve(run.federation, assigned, 1, ignore)
        training = Training(
            contender=contender, seed=1, assigned=assigned, config=run.config, on_progress=ignore
        )
        train(run.federation, training)

    assert len(post.read) > of_alignment + 5
    assert post.read <= post.written
    assert len(post.carried) > 10
    for letter, kind in post.carried:
        with pytest.raises(ProtocolError, match="is not of its declared form"):
            letter.read(kind)


def test_who_opens_a_letter_elsewhere_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    letter: Letter[Any] = Letter.of(Letter(b""))
    Post(monkeypatch)
    with pytest.raises(AssertionError, match="has opened a letter"):
        letter.read(Letter)
    with pytest.raises(AssertionError, match="has written a letter"):
        Letter.of(letter)
