"""The tables of messages in docs/threat-model.md: who may read which field, as the messages declare it.

`python -m experiments.message_table` writes them there, after a message or the list of conversations has changed.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from fl.messages import Content, Field, LetterField, Reader, declaration_of, fields_of
from fl.protocols import CONVERSATIONS, Conversation

DOCUMENT = Path(__file__).parents[1] / "docs" / "threat-model.md"

_FIRST, _LAST = "<!-- messages: python -m experiments.message_table -->", "<!-- end of messages -->"
_READERS = {
    None: "the coordinator",
    Reader.LABEL_HOLDER: "the bank",
    Reader.PASSIVE: "passive parties",
    Reader.PARTIES: "all parties",
}
_OPEN, _SIGNED, _SEALED = "open", "signed", "sealed"


def messages_of(conversation: Conversation) -> dict[type[Any], list[type[Any]]]:
    """Its messages in the order of the conversation; of a request nothing, of a reply the requests that it answers."""
    messages: defaultdict[type[Any], list[type[Any]]] = defaultdict(list)
    for request in conversation.requests:
        messages[request] = []
        for reply in declaration_of(request).replies:
            messages[reply].append(request)
    return messages


def message_tables() -> str:
    """A table by content and reader, and then the messages of each conversation, in Markdown."""
    return "\n\n".join([_by_content(), *map(_of_conversation, CONVERSATIONS)])


def written_in(text: str) -> str:
    """The document with these tables in place of those that stand there."""
    before, _, rest = text.partition(_FIRST)
    return f"{before}{_FIRST}\n\n{message_tables()}\n\n{_LAST}{rest.partition(_LAST)[2]}"


def _by_content() -> str:
    """Which fields of which content each reader gets; settings are left out."""
    fields = [
        field
        for conversation in CONVERSATIONS
        for message in messages_of(conversation)
        for field in fields_of(message)
    ]
    rows = []
    for content, reader, form in product(reversed(Content), _READERS, (_OPEN, _SIGNED, _SEALED)):
        told = [
            field
            for field in fields
            if (field.content, field.reader, _form(field)) == (content, reader, form)
        ]
        if told and content is not Content.SETTING:
            rows.append((content.value, _READERS[reader], form, _by_module(told)))
    return _table(("content", "may be read by", "travels", "fields"), rows)


def _form(field: Field) -> str:
    """How a field travels: open to the coordinator, or in a letter that is sealed, or signed alone."""
    if field.reader is None:
        return _OPEN
    return _SIGNED if LetterField(field.path, field.reader, field.record).is_ciphertext else _SEALED


def _by_module(fields: Iterable[Field]) -> str:
    """Such as: boosting `Members.left`; network `Embeddings.embeddings`."""
    names: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for field in fields:
        names[field.record.__module__][f"`{field.record.__name__}.{_name(field)}`"] = None
    return "; ".join(f"{module.removeprefix('fl.')} {', '.join(told)}" for module, told in names.items())


def _of_conversation(conversation: Conversation) -> str:
    rows = []
    letters: defaultdict[type[Any], list[Field]] = defaultdict(list)
    for message, answered in messages_of(conversation).items():
        plain = _contents(field for field in fields_of(message) if not field.reader)
        rows.append((f"`{message.__name__}`", _direction(message, answered), plain, _letters(message)))
        for field in fields_of(message):
            # A letter in the form of another conversation is told with the message.
            if field.reader and field.record is not message:
                letters[field.record].append(field)
    tables = [_table(("message", "direction", "for the coordinator", "letters"), rows)]
    if letters:
        said = [
            (f"`{record.__name__}`", _form(fields[0]), _contents(fields))
            for record, fields in letters.items()
        ]
        tables.append(_table(("letter", "travels", "fields"), said))
    return "\n\n".join([f"**{conversation.announced}**", *tables])


def _direction(message: type[Any], answered: Sequence[type[Any]]) -> str:
    if answered:
        return "reply to " + ", ".join(f"`{request.__name__}`" for request in answered)
    return f"request to {_READERS[declaration_of(message).to]}"


def _letters(message: type[Any]) -> str:
    """Such as: `orders`: `Order` to all parties."""
    letters: dict[str, None] = {}
    for field in fields_of(message):
        if field.reader:
            what = field.content.value if field.record is message else f"`{field.record.__name__}`"
            letters[f"`{field.path.partition('.')[0]}`: {what} to {_READERS[field.reader]}"] = None
    return "; ".join(letters)


def _contents(fields: Iterable[Field]) -> str:
    """Such as: `positions` (count); `businesses`, `months` (per row)."""
    names: defaultdict[Content, dict[str, None]] = defaultdict(dict)
    for field in fields:
        names[field.content][f"`{_name(field)}`"] = None
    return "; ".join(f"{', '.join(of_content)} ({content.value})" for content, of_content in names.items())


def _name(field: Field) -> str:
    """The field's path within its message or letter."""
    return (field.path.partition(".")[2] if field.reader else "") or field.path


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


if __name__ == "__main__":
    DOCUMENT.write_text(written_in(DOCUMENT.read_text("utf-8")), "utf-8")
