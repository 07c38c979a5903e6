"""Every message has a line in its party's audit trail, and whatever happens to the trail afterwards shows."""

import hashlib
import json
import stat
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import msgspec
import pytest
from flwr.app import RecordDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.audit import FILE_NAME, HEAD_NAME, LABEL_GRADE, Line, Trail, heads_of, highest_grade, lines_of
from clients.data.column import Column
from clients.data.declaration import Declaration
from clients.data.errors import DataError
from clients.identity import read_identity
from clients.store import DiskFull
from experiments.backends.inline import InlineGrid
from fl.alignment import BlindRequest, Matched
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.messages import Head, Letter
from fl.seals import Identity, is_head_of, sign_head
from fl.wire import Envelope, refusal_in
from server.coordinator import assign_roles, connect, train, train_reserve
from server.exchange import FederationError
from server.progress import ignore
from server.training import Training
from tests.full_disk import full_disk

PARTY, OTHER = Identity.new(), Identity.new()
Send = Callable[..., RecordDict]
Edit = Callable[[list[bytes]], list[bytes]]


def message(step: int, receivers: tuple[str, ...] = ("tax",)) -> list[Line]:
    """The lines of a message with a letter to each of these."""
    line = Line(study="s", step=step, conversation="boosting", action="split", bytes=9)
    return [line, *(msgspec.structs.replace(line, receiver=name, letter="task") for name in receivers)]


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    """A trail of ten lines."""
    trail = Trail(tmp_path)
    for step in range(1, 6):
        trail.append(message(step), PARTY)
    return trail


def texts(trail: Trail) -> list[bytes]:
    return (trail.folder / FILE_NAME).read_bytes().splitlines(keepends=True)


def damage(trail: Trail, **held: list[Head]) -> list[str]:
    return trail.damage(PARTY.public, held)


# The file.


def test_each_line_holds_the_hash_of_the_line_before_and_the_last_one_is_signed(trail: Trail) -> None:
    previous = ""
    for number, text in enumerate(texts(trail), start=1):
        line = json.loads(text)
        assert (line["number"], line["previous"]) == (number, previous)
        previous = hashlib.sha256(text.rstrip(b"\n")).hexdigest()
    head = trail.append(message(6), PARTY)
    assert head.number == 12
    assert head.digest == hashlib.sha256(texts(trail)[-1].rstrip(b"\n")).hexdigest()
    assert is_head_of(head, PARTY.public)
    assert damage(trail) == []


def test_nobody_else_may_read_it(trail: Trail) -> None:
    for name in (FILE_NAME, HEAD_NAME):
        assert stat.S_IMODE((trail.folder / name).stat().st_mode) == 0o600


def edited(place: int) -> Edit:
    return lambda lines: [
        *lines[:place],
        lines[place].replace(b'"bytes":9', b'"bytes":1'),
        *lines[place + 1 :],
    ]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (edited(3), "Line 5 follows another line 4: one of these two was changed."),
        (edited(9), "audit.head has the head of another line 10."),
        (lambda lines: lines[1:], "Line 1 was line 2: lines were removed, added or moved."),
        (lambda lines: lines[:4] + lines[5:], "Line 5 was line 6: lines were removed, added or moved."),
        (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], "Line 5 was line 6"),
        (lambda lines: lines[:5] + lines[4:], "Line 6 was line 5"),
        (lambda lines: lines[:-1], "audit.head has the head of line 10; the log ends at line 9."),
        (lambda lines: [], "audit.head has the head of line 10; the log ends at line 0."),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], "Line 10 is not complete."),
        (lambda lines: [*lines, b"\n"], "Line 11 cannot be read."),
    ],
)  # fmt: skip
def test_damage_is_found_and_told_in_a_sentence(trail: Trail, edit: Edit, said: str) -> None:
    (trail.folder / FILE_NAME).write_bytes(b"".join(edit(texts(trail))))
    (sentence,) = damage(trail)
    assert sentence.startswith(said)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_of_the_log_goes_unnoticed(trail: Trail, data: st.DataObject) -> None:
    log = trail.folder / FILE_NAME
    before = log.read_bytes()
    start = data.draw(st.integers(0, len(before)))
    end = data.draw(st.one_of(st.just(start), st.integers(start, len(before))))
    # From anywhere, so that lines are copied and moved, too.
    copied = data.draw(st.integers(0, len(before))), data.draw(st.integers(0, len(before)))
    new = data.draw(st.one_of(st.binary(max_size=3), st.just(before[min(copied) : max(copied)])))
    changed = before[:start] + new + before[end:]
    try:
        log.write_bytes(changed)
        assert bool(damage(trail)) == (changed != before)
    finally:
        log.write_bytes(before)


def test_a_head_that_the_party_has_not_signed_counts_for_nothing(trail: Trail, tmp_path: Path) -> None:
    rewritten = Trail(tmp_path / "rewritten")
    rewritten.append(message(1), OTHER)
    for name in (FILE_NAME, HEAD_NAME):
        (trail.folder / name).write_bytes((rewritten.folder / name).read_bytes())
    assert damage(trail) == ["audit.head is missing, or has no head that the party has signed."]
    (trail.folder / HEAD_NAME).unlink()
    assert damage(trail) == ["audit.head is missing, or has no head that the party has signed."]


# What comes after.


def test_missing_lines_stay_missed_when_the_trail_goes_on(trail: Trail) -> None:
    (trail.folder / FILE_NAME).write_bytes(b"".join(texts(trail)[:8]))
    trail.append(message(6), PARTY)
    assert damage(trail) == ["Line 9 was line 11: lines were removed, added or moved."]


def test_a_process_that_ends_before_it_has_signed_its_lines_breaks_nothing(trail: Trail) -> None:
    head = (trail.folder / HEAD_NAME).read_bytes()
    trail.append(message(6), PARTY)
    (trail.folder / HEAD_NAME).write_bytes(head)
    (sentence,) = damage(trail)
    assert sentence.startswith(
        "The log has 12 lines, and the party has signed the first 10: it was ended while"
    )
    trail.append(message(7), PARTY)
    assert damage(trail) == []


def test_a_full_disk_leaves_no_half_of_a_line(trail: Trail) -> None:
    with full_disk((trail.folder / FILE_NAME).stat().st_size + 50), pytest.raises(DiskFull):
        trail.append(message(6), PARTY)
    assert damage(trail) == ["Line 11 is not complete."]

    trail.append(message(6), PARTY)

    assert damage(trail) == []
    assert len(texts(trail)) == 12


def test_a_trail_does_not_go_on_after_a_head_that_cannot_be_read(trail: Trail) -> None:
    (trail.folder / HEAD_NAME).write_bytes(b"{")
    with pytest.raises(
        DataError, match=r"audit\.head cannot be read, so the audit trail cannot go on; keep a copy"
    ):
        trail.append(message(6), PARTY)
    (trail.folder / HEAD_NAME).unlink()
    trail.append(message(6), PARTY)
    assert damage(trail) == []


def append_many(folder: Path) -> None:
    for step in range(40):
        Trail(folder).append(message(step, ("tax", "supply")), PARTY)


def test_several_processes_write_one_trail(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, get_context("fork")) as processes:
        list(processes.map(append_many, [tmp_path] * 3))
    assert damage(Trail(tmp_path)) == []
    lines = Trail(tmp_path).lines()
    assert len(lines) == 3 * 40 * 3
    # The lines of a message stay together.
    assert [line.receiver for line in lines] == ["coordinator", "tax", "supply"] * 120


# Partners.


def test_a_partner_s_head_finds_a_cut_of_both_the_log_and_the_party_s_own_head(trail: Trail) -> None:
    kept = {name: (trail.folder / name).read_bytes() for name in (FILE_NAME, HEAD_NAME)}
    heads = [trail.append(message(step), PARTY) for step in (6, 7)]
    assert damage(trail, tax=heads) == []
    for name, content in kept.items():
        (trail.folder / name).write_bytes(content)
    assert damage(trail) == []  # Alone, the party can make its trail whole again.
    assert damage(trail, tax=heads) == ["tax holds the head of line 12; the log ends at line 10."]


def test_a_partner_s_head_finds_a_trail_that_was_written_anew_and_grew_longer(tmp_path: Path) -> None:
    old, new = Trail(tmp_path / "old"), Trail(tmp_path / "new")
    heads = [old.append(message(step), PARTY) for step in (1, 2)]
    heads += [new.append(message(step), PARTY) for step in (7, 8, 9)]
    assert damage(new) == []
    assert damage(new, tax=heads) == ["tax holds the head of another line 2."]


def test_a_head_that_a_partner_made_up_is_told_as_such(trail: Trail) -> None:
    (sentence,) = damage(trail, tax=[sign_head(99, "0" * 64, OTHER)])
    assert "line 99, which is not signed by the keys that the party has now; the log ends" in sentence


# What a line says.


def test_settings_keys_and_counts_are_of_grade_1_and_all_else_of_the_highest_of_the_party() -> None:
    reply = Matched(positions=3, orders={"tax": Letter(b"12345"), "bank": Letter(b"123")})
    about = Line(study="s", conversation="alignment", action="match", heads={"tax": Head(4)})
    plain, tax, bank = lines_of(reply, about, 4, lambda field, party: (party,))
    assert (plain.receiver, plain.letter, plain.content, plain.grade) == ("coordinator", "", ("count",), 1)
    assert (tax.receiver, tax.letter, tax.content, tax.grade) == ("tax", "orders", ("per row",), 4)
    assert (bank.receiver, tax.bytes, bank.bytes) == ("bank", 5, 3)
    assert plain.heads == {"tax": Head(4)}
    assert tax.heads == {}


def test_the_highest_grade_of_a_party_is_that_of_its_columns_and_of_its_label() -> None:
    columns = (Column("a", "numeric", grade=1), Column("b", "numeric", grade=2))
    passive = Declaration("table", "tax", columns=columns)
    assert highest_grade(passive) == 2
    assert highest_grade(replace(passive, label="default")) == LABEL_GRADE == 3


@pytest.fixture
def config(make_tables: Callable[..., Path], tmp_path: Path) -> TrainingConfig:
    data = make_tables(("tax",))
    config = TrainingConfig(data=str(data), parties=("bank", "tax"), state=str(tmp_path / "state"), study="s")
    return config.with_section(BoostingConfig(trees=2, depth=2, min_leaf_count=10, encryption="plain"))


def trail_of(config: TrainingConfig, party: str = "bank") -> Trail:
    return Trail(Path(config.state, party))


def test_the_trails_of_a_study_sum_up_to_what_the_coordinator_counted_and_hold_each_other_s_heads(
    config: TrainingConfig,
) -> None:
    federation = connect(InlineGrid(config), config, ignore)
    assigned = assign_roles(federation, 1)
    train_reserve(federation, assigned, 1, ignore)
    training = Training(
        contender="federated-boosting", seed=1, assigned=assigned, config=config, on_progress=ignore
    )
    train(federation, training)

    trails = {party: trail_of(config, party) for party in config.parties}
    lines = {party: trail.lines() for party, trail in trails.items()}
    # What is for all parties travels once, and has a line for the sender, too; of an order each has its own.
    travelled = [
        line
        for party, of_party in lines.items()
        for line in of_party
        if line.receiver != party or line.letter == "orders"
    ]
    letters, messages = (sum(bool(line.letter) == is_letter for line in travelled) for is_letter in (1, 0))
    counted = federation.exchange.costs.bytes_up
    assert 0 < counted - sum(line.bytes for line in travelled) < 700 * letters + 200 * messages
    assert letters > 10

    for party, partner in (("bank", "tax"), ("tax", "bank")):
        keys = read_identity(trails[party].folder).public
        heads = heads_of(lines[partner], party)
        assert len(heads) > 5
        assert all(is_head_of(head, keys) for head in heads)
        assert trails[party].damage(keys, {partner: heads}) == []
        # The head covers the lines of its own letter, so the last letter that was read cannot be denied.
        last = max(line.number for line in lines[party] if line.receiver == partner)
        assert max(head.number for head in heads) >= last
    graded = {line.content: line.grade for line in lines["bank"]}
    assert graded["per row",] == 3
    assert graded["count",] == graded[()] == 1


def test_a_refusal_has_a_line(send: Send, config: TrainingConfig) -> None:
    for record, step, size in ((BlindRequest(), 7, 40), (RecordDict(), 0, 20)):
        refused = refusal_in(
            send(config, record, Envelope("s", "", 7), to="train.alignment_blind", sealed=True)
        )
        line = trail_of(config).lines()[-1]
        assert refused is not None
        assert (line.step, line.conversation, line.action) == (step, "alignment", "blind")
        assert (line.receiver, line.content, line.grade) == ("coordinator", ("setting",), 1)
        assert line.bytes == len(refused) + len("bank") > size  # with what the party calls itself


def test_a_refusal_is_told_even_if_the_trail_cannot_go_on(send: Send, config: TrainingConfig) -> None:
    send(config, BlindRequest(), Envelope("s", "", 7))
    (trail_of(config).folder / HEAD_NAME).write_bytes(b"{")
    assert "does not follow" in str(refusal_in(send(config, BlindRequest(), Envelope("s", "", 7))))
    log = Path(config.state, "bank", "party.log").read_text("utf-8")
    assert "the refusal has no line in the audit trail" in log


def test_a_reply_that_is_repeated_has_lines_again(
    send: Send, config: TrainingConfig, meet: Callable[[TrainingConfig], None]
) -> None:
    meet(config)
    for _ in range(2):
        assert refusal_in(send(config, BlindRequest(), Envelope("s", "", 2))) is None
    lines = trail_of(config).lines()[-4:]
    assert [line.letter for line in lines] == ["", "points", "", "points"]
    first, second = ([without_place(line) for line in part] for part in (lines[:2], lines[2:]))
    assert first == second


def without_place(line: Line) -> Line:
    return msgspec.structs.replace(line, number=0, time="", previous="")


def test_a_letter_with_a_head_that_its_sender_has_not_signed_is_refused(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.audit.sign_head", lambda number, digest, _: Head(number, digest, bytes(64)))
    with pytest.raises(FederationError, match="with a head of its audit trail that it has not signed"):
        connect(InlineGrid(config), config, ignore)
