"""A coordinator that keeps all that passes through its hands learns what is on a list, and no row of anybody's data."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from clients import post
from clients.aligned import read_applications, read_table
from clients.app import PartyApp
from clients.scores import Scores
from clients.store import Store
from experiments.backends.inline import InlineGrid
from experiments.message_table import messages_of
from fl.binning import Binning
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import RunConfig, ScoringConfig, TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ProtocolError
from fl.messages import (
    Content,
    Head,
    Letter,
    LetterField,
    declaration_of,
    fields_of,
    letter_fields,
    with_letters,
)
from fl.protocols import CONVERSATIONS, request_of, vertical_contenders
from fl.records import Array, decode
from fl.scorecard import Points
from fl.scoring import Contributions
from fl.wire import to_bytes, unpack
from server.coordinator import assign_roles, connect, train, train_reserve
from server.exchange import Exchange
from server.progress import ignore
from server.scoring import converse
from server.training import Training

ALLOWED = {
    "handshake": """
        Description.name Description.type Description.columns Description.kinds Description.grades Description.rows
        Description.target Description.conversations Description.schema Description.introduction Description.pinned
    """,
    "alignment": "MeetRequest.partners MatchRequest.mode Matched.positions Aligned.positions Aligned.known",
    "splits": "SplitRequest.seed Assigned.basis Assigned.training Assigned.validation Assigned.test",
    "reserve": "TrainRequest.seed Trained.curve",
    "boosting": """
        StartRequest.seed BeginRequest.seed GrowRequest.sides Grown.sides Gradients.encrypted
        Demanded.waits Demanded.trees Demanded.chosen.party Demanded.chosen.rows Demanded.chosen.seed
        Demanded.fit.train_loss Demanded.fit.validation_auc Demanded.fit.validation_loss
        Ended.trees Ended.fit.train_loss Ended.fit.validation_auc Ended.fit.validation_loss
    """,
    "network": """
        StartRequest.seed ForwardRequest.batch BackwardRequest.batch Learned.batch Learned.loss Learned.look.auc
        Learned.look.loss Ended.look.auc Ended.look.loss
    """,
    "scorecard": """
        StartRequest.seed BeginRequest.seed EncryptedSums.sums OpenedSums.sums
        Solved.progress.exchanges Solved.progress.train_loss Solved.progress.validation_auc
        Solved.progress.validation_loss
        Ended.progress.exchanges Ended.progress.train_loss Ended.progress.validation_auc
        Ended.progress.validation_loss
    """,
    "evaluation": "Scored.evaluation",
    "scoring": """
        PrepareRequest.study PrepareRequest.seed PrepareRequest.models
        Prepared.models Prepared.parties ContributeRequest.models
        Answered.applicants Answered.by_both Answered.known Answered.model
    """,
}
"""What the coordinator may read by conversation: names, settings, counts, rounded metrics, and what is ciphertext."""
UNTOLD = {"ids", "labels", "bins", "pds"}
"""What no letter holds either."""
LETTERS = {
    declared.kind: declared.record
    for conversation in CONVERSATIONS
    for message in messages_of(conversation)
    for declared in letter_fields(message)
}


class Recorder(ClientApp):
    """The parties' ClientApp, of which all messages are kept, with the bytes of them all."""

    def __init__(self) -> None:
        super().__init__()
        self.app, self.seen, self.messages = PartyApp(), bytearray(), list[Any]()

    def __call__(self, message: Message, context: Context) -> Message:
        _, request = request_of(message.metadata.message_type)
        replies = declaration_of(request).replies
        self.seen += to_bytes(message.content)
        self.messages.append(unpack(message.content, request))
        reply = self.app(message, context)
        self.seen += to_bytes(reply.content)
        self.messages.append(unpack(reply.content, *replies))
        return reply


class Recording:
    """A study of all federated contenders and a scoring run, as a coordinator records them.

    secrets are by name, as bytes: the arrays per row that parties wrote in letters, and more of what they hold.
    """

    def __init__(self, data: Path, state: Path, monkeypatch: pytest.MonkeyPatch, sealing: bool) -> None:
        self.secrets: defaultdict[str, set[bytes]] = defaultdict(set)
        self.recorder, seal = Recorder(), post.seal

        def noted(
            letter: Letter[Any], context: Any, *parties: Any, head: Head, encrypted: bool
        ) -> Letter[Any]:
            self._note(LETTERS[context.kind], letter)
            return seal(letter, context, *parties, head=head, encrypted=encrypted and sealing)

        monkeypatch.setattr("clients.post.seal", noted)
        config = TrainingConfig(data=str(data), parties=("bank", "tax"), state=str(state), study="s")
        for section in (
            NetworkConfig(batches=2, batch_size=64, evaluate_every=2),
            BoostingConfig(trees=2, depth=3, min_leaf_count=10),
            ScorecardConfig(bins=5, min_group=5, max_p=1.0, exchanges=2),
        ):
            config = config.with_section(section)
        federation = connect(InlineGrid(config, self.recorder), config, ignore)
        assigned = assign_roles(federation, 1)
        train_reserve(federation, assigned, 1, ignore)
        for contender in vertical_contenders():
            settings = {"assigned": assigned, "config": config, "on_progress": ignore}
            train(federation, Training(contender=contender, seed=1, **settings))
        self._score(config, state.parent / "new.csv")
        self._hold(state)

    def _score(self, config: TrainingConfig, applicants: Path) -> None:
        ids = read_applications(Store(Path(config.state, "bank", "s"))).ids[:60]
        applicants.write_text("\n".join(["business_id", *ids]), "utf-8")
        common = {item.name: getattr(config, item.name) for item in fields(RunConfig)} | {"study": "new"}
        scoring = ScoringConfig(**common, model="s/federated-scorecard/1", applicants=str(applicants))
        converse(Exchange(InlineGrid(scoring, self.recorder), "new", 60), scoring, ignore)

    def _note(self, kind: type[Any], letter: Letter[Any]) -> None:
        said = decode(kind, letter.content)
        if isinstance(said, Contributions):  # the scoring below is by a scorecard
            return self._note(Points, Letter(said.parts["federated-scorecard"]))
        for field in fields_of(kind):
            if field.content in (Content.PER_ROW, Content.PADDED):
                self._keep(f"{kind.__name__}.{field.path}", getattr(said, field.path))

    def _hold(self, state: Path) -> None:
        """Note what parties hold."""
        bank, model = Store(state / "bank" / "s"), "federated-scorecard/1"
        applications = read_applications(bank)
        for one in applications.ids.tolist():
            self.secrets["ids"] |= {one.encode(), one.encode("utf-32-le")}
        self._keep("labels", applications.labels)
        self._keep("months", applications.months.astype("datetime64[M]").astype(np.int64))
        self._keep("pds", Store(bank.folder / model).read(Scores).pd)
        tax = Store(state / "tax" / "s")
        table = read_table(tax)
        codes = Store(tax.folder / model).read(Binning).transform(table, np.arange(len(table)))
        for column in codes.T:
            self._keep("bins", column)

    def _keep(self, name: str, array: Array | None) -> None:
        """Note an array as bytes, of integers in all their sizes; constant and short ones may be found by chance."""
        if array is None:
            return
        sizes = ["<i1", "<i2", "<i4", "<i8"] if array.dtype.kind == "i" else []
        encoded = {array.astype(kind).tobytes() for kind in (array.dtype, *sizes)}
        if needles := {one for one in encoded if len(one) >= 16 and len(set(one)) > 1}:
            self.secrets[name] |= needles

    @property
    def found(self) -> set[str]:
        """The secrets of which the coordinator has seen one or more."""
        seen = bytes(self.recorder.seen)
        return {name for name, needles in self.secrets.items() if any(needle in seen for needle in needles)}

    @property
    def read(self) -> set[str]:
        """The fields that the coordinator can decode: those outside of letters, and of letters that it can open."""
        return {name for message in self.recorder.messages for name in readable(message)}


def readable(message: Any) -> Iterator[str]:
    """The names of the fields of a message and of its letters that can be decoded without a key."""
    for field in fields_of(type(message)):
        if field.reader is None:
            yield f"{type(message).__module__}.{type(message).__name__}.{field.path}"
    opened: list[type[Any]] = []

    def open_(letter: Letter[Any], declared: LetterField, _: str) -> Letter[Any]:
        try:
            letter.read(LETTERS[declared.kind])
        except ProtocolError:
            return letter
        opened.append(LETTERS[declared.kind])
        return letter

    with_letters(message, open_)
    yield from (
        f"{kind.__module__}.{kind.__name__}.{field.path}" for kind in opened for field in fields_of(kind)
    )


@pytest.fixture
def record(
    make_tables: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[bool], Recording]:
    """Records a study and a scoring run, with sealing or with letters that are signed alone."""
    return lambda sealing: Recording(
        make_tables(("tax",), rows=250, months=True), tmp_path / "state", monkeypatch, sealing
    )


def test_the_coordinator_reads_what_it_may_and_no_row(record: Callable[[bool], Recording]) -> None:
    recording = record(True)
    allowed = {
        f"fl.{conversation}.{name}" for conversation, names in ALLOWED.items() for name in names.split()
    }
    assert recording.read == allowed
    assert recording.found == set()


def test_without_sealing_it_reads_every_letter(record: Callable[[bool], Recording]) -> None:
    recording = record(False)
    assert {"Order.months", "Members.left", "Lesson.gradient", "BatchEmbeddings.batch", "Points.points"} <= (
        recording.secrets.keys()
    )
    assert recording.found == recording.secrets.keys() - UNTOLD
    assert {"fl.alignment.Order.months", "fl.network.Lesson.gradient"} <= recording.read
