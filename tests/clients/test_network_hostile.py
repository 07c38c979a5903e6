"""What a party does when training asks for what no honest coordinator or party would send: it refuses, unchanged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.aligned import read_applications
from clients.binned import Start
from clients.network.learning import Learning
from clients.store import Store
from fl.config.network import NetworkConfig
from fl.handshake import DescribeRequest
from fl.messages import Letter, Request
from fl.network import (
    BackwardRequest,
    BatchEmbeddings,
    EmbedRequest,
    Ended,
    FinishRequest,
    ForwardRequest,
    Learned,
    Lesson,
    ScoreRequest,
    StartRequest,
    Verdict,
    training_batches,
)
from fl.records import decode
from fl.splits import TRAIN, VALIDATION, Split
from fl.wire import refusal_in
from server.coordinator import assign_roles
from server.exchange import FederationError

MODEL = "federated-network/1"
ROWS = 400


class StartedModel:
    """A federation whose parties have started one model, and honest messages of its batches."""

    def __init__(self, run) -> None:
        self.run, self.exchange = run, run.federation.exchange
        self.start = StartRequest(seed=1, split=assign_roles(run.federation, 1).split)
        self.ask(dict.fromkeys(run.config.parties, self.start))

    def ask(self, requests: dict[str, Request]) -> dict:
        return self.exchange.ask(requests, MODEL)

    def forward(self, batch: int = 1, lessons: dict | None = None) -> dict[str, BatchEmbeddings]:
        """The passive parties' embeddings of a batch."""
        lessons = dict(lessons or {})
        asked = {
            party: ForwardRequest(batch=batch, lesson=lessons.get(party))
            for party in self.run.federation.exchange.roster.passive
        }
        return {party: reply.embeddings.read(BatchEmbeddings) for party, reply in self.ask(asked).items()}

    def backward(self, batch: int, embeddings: dict[str, BatchEmbeddings]) -> Learned | Ended:
        return self.ask({"bank": backward_request(batch, embeddings)})["bank"]

    def refuses(self, party: str, request: Request, why: str) -> None:
        store = Store(Path(self.run.config.state, party, "s", MODEL))
        before = store.last()
        with pytest.raises(FederationError, match=why):
            self.ask({party: request})
        assert store.last() == before


def backward_request(batch: int, embeddings: dict[str, BatchEmbeddings]) -> BackwardRequest:
    letters = {party: Letter.of(part) for party, part in embeddings.items()}
    return BackwardRequest(batch=batch, embeddings=letters)


@pytest.fixture
def started(tables: Path, federate: Callable) -> StartedModel:
    # The weights are judged before the first batch already.
    return StartedModel(federate(tables, {"evaluate_every": 1}))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda roles: roles[:-1], "roles must be 400 integers"),
        (lambda roles: np.append(roles, np.int8(0)), "roles must be 400 integers"),
        (lambda roles: roles.astype(np.float64), "roles must be 400 integers"),
        (lambda roles: roles.reshape(2, -1), "roles must be 400 integers"),
        (lambda roles: roles + np.int8(3), "roles must lie between 0 and 2"),
        (lambda roles: roles - np.int8(1), "roles must lie between 0 and 2"),
    ],
)
@pytest.mark.parametrize("party", ["bank", "tax"])
def test_roles_that_do_not_fit_the_alignment(
    tables: Path, federate: Callable, party: str, spoil: Callable, why: str
) -> None:
    run = federate(tables)
    roles = assign_roles(run.federation, 1).split.read(Split).roles
    request = StartRequest(seed=1, split=Letter.of(Split(spoil(roles))))
    with pytest.raises(FederationError, match=why):
        run.federation.exchange.ask({party: request}, MODEL)


def test_a_second_start(started: StartedModel) -> None:
    for party in ("bank", "tax"):
        started.refuses(party, started.start, "network_start comes first, and the last was start")


def test_a_letter_that_says_something_else(started: StartedModel) -> None:
    verdict = Letter.of(Verdict(True))
    started.refuses(
        "bank",
        BackwardRequest(batch=1, embeddings={"tax": verdict, "supply": verdict}),
        "a BatchEmbeddings is not of its declared form",
    )
    started.forward()
    started.refuses("tax", ForwardRequest(batch=2, lesson=verdict), "a Lesson is not of its declared form")


@pytest.mark.parametrize("batch", [-1, 0, 2, 8, 9])
def test_a_first_batch_that_is_not_the_first(started: StartedModel, batch: int) -> None:
    why = f"batch 1 is the next one, not {batch}"
    started.refuses("bank", backward_request(batch, started.forward()), why)


@pytest.mark.parametrize("batch", [-1, 0, 2, 8, 9])
def test_a_first_batch_that_is_not_the_first_for_a_passive_party(started: StartedModel, batch: int) -> None:
    why = f"batch 1 is the next one, not {batch}"
    started.refuses("tax", ForwardRequest(batch=batch, lesson=None), why)


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_a_batch_that_comes_again_or_is_left_out(started: StartedModel, batch: int) -> None:
    why = f"batch 2 is the next one, not {batch}"
    embeddings = started.forward()
    learned = started.backward(1, embeddings)
    started.refuses("tax", ForwardRequest(batch=batch, lesson=learned.lessons["tax"]), why)
    started.refuses("bank", backward_request(batch, embeddings), why)


def test_a_lesson_before_the_first_batch(started: StartedModel) -> None:
    lesson = Letter.of(Lesson(gradient=np.empty((0, 16), np.float32), best=False))
    why = "a lesson comes with every batch but the first"
    started.refuses("tax", ForwardRequest(batch=1, lesson=lesson), why)


def test_no_lesson_after_the_first_batch(started: StartedModel) -> None:
    started.forward()
    why = "a lesson comes with every batch but the first"
    started.refuses("tax", ForwardRequest(batch=2, lesson=None), why)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda gradient: gradient[:-1], "gradient must be"),
        (lambda gradient: gradient[:, :-1], "gradient must be"),
        (lambda gradient: gradient[:0], "gradient must be"),
        (lambda gradient: gradient.astype(np.float64), "gradient must be"),
        (lambda gradient: gradient * np.float32(np.nan), "gradient must be finite"),
        (lambda gradient: gradient + np.float32(np.inf), "gradient must be finite"),
    ],
)
def test_a_gradient_that_is_not_for_the_last_batch(started: StartedModel, spoil: Callable, why: str) -> None:
    gradient = spoil(np.ones_like(started.forward()["tax"].batch))
    lesson = Letter.of(Lesson(gradient=gradient, best=False))
    started.refuses("tax", ForwardRequest(batch=2, lesson=lesson), why)


def spoiled(part: str, spoil: Callable) -> Callable:
    """Does to the tax bureau's embeddings what `spoil` does to an array."""
    return lambda all_of_them: (
        all_of_them | {"tax": replace(all_of_them["tax"], **{part: spoil(getattr(all_of_them["tax"], part))})}
    )


def nan_in_one(embeddings: np.ndarray) -> np.ndarray:
    embeddings[0, 0] = np.nan
    return embeddings


@pytest.mark.parametrize("part", ["batch", "validation"])
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (nan_in_one, "embeddings of tax must be finite"),
        (lambda array: array[:-1], "embeddings of tax must be"),
        (lambda array: array[:, :3], "embeddings of tax must be"),
        (lambda array: array > 0, "embeddings of tax must be"),
    ],
)
def test_embeddings_that_no_party_made(started: StartedModel, part: str, spoil: Callable, why: str) -> None:
    embeddings = spoiled(part, spoil)(started.forward())
    started.refuses("bank", backward_request(1, embeddings), why)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda all_of_them: {"tax": all_of_them["tax"]},
        lambda all_of_them: all_of_them | {"bank": all_of_them["tax"]},
        spoiled("validation", lambda _: None),
    ],
)
def test_embeddings_of_other_parties_than_there_are(started: StartedModel, spoil: Callable) -> None:
    embeddings = spoil(started.forward())
    started.refuses("bank", backward_request(1, embeddings), "there for supply, tax and for no other")


def test_embeddings_so_large_that_training_would_break(tables: Path, federate: Callable) -> None:
    started = StartedModel(federate(tables, {"evaluate_every": 2}))
    huge = {
        party: replace(part, batch=np.full_like(part.batch, 3e38))
        for party, part in started.forward().items()
    }
    started.refuses("bank", backward_request(1, huge), "must be numbers up to 1e.12; if training diverged")


def test_steps_out_of_order(started: StartedModel) -> None:
    started.refuses("tax", EmbedRequest(), "network_embed comes after finish, and the last was start")
    started.refuses("bank", ScoreRequest({}), "network_score comes after finish, and the last was start")
    finish = FinishRequest(Letter.of(Verdict(True)))
    started.refuses(
        "supply", finish, "network_finish comes after forward or backward, and the last was start"
    )


def test_nothing_trains_after_the_end(started: StartedModel) -> None:
    started.forward()
    started.ask({"tax": FinishRequest(Letter.of(Verdict(False)))})
    started.refuses("tax", ForwardRequest(batch=2, lesson=None), "the last was finish")


@pytest.mark.parametrize("network", [{"batches": 2}, {"patience": 1, "evaluate_every": 1}])
def test_no_batch_comes_after_the_one_at_which_training_ends(
    tables: Path, federate: Callable, network: dict
) -> None:
    # Between looks weights that learn nothing do not improve.
    still = {"learning_rate": 1e-30, "weight_decay": 0.0, "defence": "none"}
    started = StartedModel(federate(tables, still | network))
    lessons: dict = {}
    for batch in (1, 2):
        embeddings = started.forward(batch, lessons)
        learned = started.backward(batch, embeddings)
        lessons = {} if isinstance(learned, Ended) else dict(learned.lessons)

    assert isinstance(learned, Ended)
    started.refuses("bank", backward_request(3, embeddings), "training has ended: no batch is to come")
    if started.run.config.section(NetworkConfig).batches == 2:
        why = "training has ended: no batch is to come"
        started.refuses("tax", ForwardRequest(batch=3, lesson=None), why)


def losses(run, batches: int) -> np.ndarray:
    """The loss of each batch, as the coordinator is told it."""
    started, lessons, told = StartedModel(run), {}, []
    for batch in range(1, batches + 1):
        learned = started.backward(batch, started.forward(batch, lessons))
        lessons = dict(learned.lessons)
        told.append(learned.loss)
    return np.array(told)


@pytest.mark.parametrize("size", [1, 63])
def test_finding_7_no_party_answers_in_a_run_with_smaller_batches(
    tables: Path, federate: Callable, send: Callable, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    run = federate(tables)
    with monkeypatch.context() as unchecked:
        unchecked.setattr(NetworkConfig, "__post_init__", lambda _: None)
        config = run.config.with_section(NetworkConfig(batch_size=size))
    for partition in range(3):
        refused = refusal_in(send(config, DescribeRequest(), node={"partition-id": partition}))
        assert refused == f"Setting 'network.batch-size' must be 64 or more, not {size}."


def test_finding_7_with_batches_of_one_row_losses_would_be_labels(
    tables: Path, federate: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NetworkConfig, "__post_init__", lambda _: None)
    run = federate(tables, {"batch_size": 1, "batches": 41, "evaluate_every": 100})
    read = losses(run, 40) > np.log(2)
    roles = Store(Path(run.config.state, "bank", "s", MODEL)).read(Start).roles
    rows = np.concatenate(training_batches(roles, 1, run.config.section(NetworkConfig)))[:40]
    labels = read_applications(Store(Path(run.config.state, "bank", "s"))).labels[rows]
    assert (read == (labels == 1)).mean() > 0.9


def test_finding_7_a_network_needs_a_whole_batch_of_training_rows(tables: Path, federate: Callable) -> None:
    run = federate(tables, test_share=0.05, validation_share=0.93)
    with pytest.raises(FederationError, match="a network needs 64 training rows at least, not 2"):
        StartedModel(run)


@pytest.mark.parametrize("defended", [True, False])
def test_finding_7_the_rows_that_validate_are_those_that_the_bank_has_assigned(
    tables: Path, federate: Callable, monkeypatch: pytest.MonkeyPatch, defended: bool
) -> None:
    # The letter is signed by the bank, as if an earlier one of its own were sent again.
    run = federate(tables)
    roles = assign_roles(run.federation, 1).split.read(Split).roles
    chosen = np.where(roles == VALIDATION, np.int8(TRAIN), roles)
    chosen[[0, 1]] = VALIDATION
    if not defended:
        kept = Store(Path(run.config.state, "elsewhere"))
        kept.keep(Split(chosen))
        monkeypatch.setattr("clients.binned.assigned", lambda *_: kept)
    request, refused = StartRequest(seed=1, split=Letter.of(Split(chosen))), ""
    try:
        run.federation.exchange.ask({"bank": request}, MODEL)
    except FederationError as error:
        refused = str(error)
    assert ("the split of seed 1 is not the one that it has assigned" in refused) == defended


def test_finding_7_a_model_has_the_seed_of_its_name(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    request = StartRequest(seed=2, split=assign_roles(run.federation, 1).split)
    for party in run.config.parties:
        with pytest.raises(FederationError, match="federated-network/1 is not a model of seed 2"):
            run.federation.exchange.ask({party: request}, MODEL)


@pytest.mark.parametrize("defended", [True, False])
def test_finding_7_losses_and_aucs_leave_the_bank_to_four_digits(
    tables: Path, federate: Callable, monkeypatch: pytest.MonkeyPatch, defended: bool
) -> None:
    if not defended:
        monkeypatch.setattr("clients.answering.rounded", lambda reply: reply)
    started = StartedModel(federate(tables, {"evaluate_every": 1}))
    learned = started.backward(1, started.forward())
    told = np.array([learned.loss, learned.look.auc, learned.look.loss])
    assert np.array_equal(told, np.round(told, 4)) == defended
    # What training goes by stays exact.
    kept = decode(Learning, Store(Path(started.run.config.state, "bank", "s", MODEL)).last().state)
    assert kept.best_auc == pytest.approx(learned.look.auc, abs=5e-5)
    assert kept.best_auc != round(kept.best_auc, 4)
