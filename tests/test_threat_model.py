"""`docs/threat-model.md` says of every message and letter what it tells its reader, and who that is.

Whoever adds a field writes the tables anew (`python -m experiments.message_table`). Whoever adds a message or a letter
also says what it tells, in the section of its conversation. Otherwise this fails.
"""

import re
from typing import Any

import pytest

from experiments.message_table import DOCUMENT, message_tables, messages_of, written_in
from fl.boosting import Demanded, Task
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.scorecard import ScorecardConfig
from fl.messages import Content, Field, Reader, declaration_of, fields_of
from fl.protocols import CONVERSATIONS
from fl.scoring import Contributed, Contributions
from fl.wire import Envelope

TEXT = DOCUMENT.read_text("utf-8")
ANALYSIS = TEXT.replace(message_tables(), "")
RECORDS: tuple[type[Any], ...] = tuple(
    dict.fromkeys(
        record
        for conversation in CONVERSATIONS
        for message in messages_of(conversation)
        for record in (message, *(field.record for field in fields_of(message)))
    )
)


def section_of(record: type[Any]) -> str:
    """What the document says of a record's conversation: the section named like its module in `fl`."""
    name = record.__module__.removeprefix("fl.").replace("_", " ")
    (section,) = re.findall(rf"(?ms)^## {name.capitalize()}$(.*?)(?=^## |\Z)", ANALYSIS)
    return str(section)


def rows_on(record: type[Any]) -> list[list[str]]:
    """The rows of that section's tables that name the record in their first cell."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section_of(record).splitlines()
        if line.startswith("|")
    ]
    return [row for row in rows if f"`{record.__name__}`" in row[0]]


def test_the_tables_are_those_of_the_declarations() -> None:
    assert written_in(TEXT) == TEXT, "python -m experiments.message_table writes them"


@pytest.mark.parametrize("record", RECORDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_the_analysis_says_what_each_message_and_letter_tells_its_reader(record: type[Any]) -> None:
    rows = rows_on(record)
    assert rows, f"its section in docs/threat-model.md has no row on {record.__name__}"
    for row in rows:
        _, reader, tells, _ = row
        assert reader, row
        assert tells, row


def test_all_conversations_are_looked_at() -> None:
    assert {"BlindPoints", "Order", "Level", "Members", "Sums", "Lesson"} <= {
        kind.__name__ for kind in RECORDS
    }
    assert len(RECORDS) > 70


def test_the_document_names_no_message_that_is_gone() -> None:
    errors = {"ProtocolError", "ConfigError"}
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)`", TEXT))
    assert named <= {kind.__name__ for kind in RECORDS} | {Envelope.__name__} | errors


def test_a_field_says_whose_letter_it_stands_in() -> None:
    fields = {field.path: field for field in fields_of(Demanded)}
    assert fields["task.bank_left"] == Field("task.bank_left", Content.PER_ROW, Task, Reader.PASSIVE)
    assert fields["trees"] == Field("trees", Content.COUNT, Demanded, None)


def test_records_of_other_conversations_in_a_letter_are_no_plain_field() -> None:
    assert list(fields_of(Contributed)) == [
        Field("contributions.parts", Content.PER_ROW, Contributions, Reader.LABEL_HOLDER)
    ]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.name)
def test_the_coordinator_reads_nothing_per_row(conversation: Any) -> None:
    plain = [field for kind in messages_of(conversation) for field in fields_of(kind) if not field.reader]
    assert not [field for field in plain if field.content in (Content.PER_ROW, Content.CIPHERTEXT)]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.name)
def test_a_request_brings_nobody_the_letter_of_another(conversation: Any) -> None:
    for request in conversation.requests:
        asked = declaration_of(request).to
        readers = {field.reader for field in fields_of(request)} - {None, Reader.PARTIES}
        assert readers <= {asked}, request


def test_the_settings_that_the_document_describes_are_the_defaults() -> None:
    network, words = NetworkConfig(), " ".join(ANALYSIS.split())
    assert f"`{network.defence}`, on by default" in words
    assert f"`network.noise` = {network.noise:g}," in words
    assert f"`boosting.min-bin-count` = {BoostingConfig().min_bin_count} rows" in words
    assert f"`scorecard.min-group` goods or bads, {ScorecardConfig().min_group} by default" in words
