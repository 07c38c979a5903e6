"""What a party does when training asks for what no honest coordinator or party would send: it refuses, unchanged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.store import Store
from fl.network import (
    BackwardRequest,
    Embeddings,
    EmbedRequest,
    Finished,
    FinishRequest,
    ForwardRequest,
    Gradients,
    ScoreRequest,
    Started,
    StartRequest,
    training_batches,
)
from fl.scoring import Scored
from fl.splits import TEST
from server.coordinator import assign_roles
from server.exchange import FederationError

MODEL = "federated-network/1"


class StartedModel:
    """A federation whose parties have started one model, and the first batch's honest messages."""

    def __init__(self, run) -> None:
        self.run, self.exchange = run, run.federation.exchange
        self.roles = assign_roles(run.federation, 1)
        start = StartRequest(1, self.roles)
        roster = run.federation.roster
        self.ask("start", dict.fromkeys(roster.all, start), Started)
        positions = training_batches(self.roles, 1, run.config.network)[0]
        empty = np.empty((0, run.config.network.embedding), np.float32)
        self.forward = ForwardRequest(positions, empty, False, True)

    def ask(self, action: str, requests: dict, reply: type, kind: str = "train") -> dict:
        return self.exchange.ask(f"{kind}.network_{action}", requests, reply, MODEL)

    def backward(self) -> BackwardRequest:
        """The bank's honest request, after the passive parties have answered theirs."""
        passive = self.run.federation.roster.passive
        embedded = self.ask("forward", dict.fromkeys(passive, self.forward), Embeddings)
        return BackwardRequest(
            self.forward.positions,
            {party: reply.batch for party, reply in embedded.items()},
            {party: reply.validation for party, reply in embedded.items()},
            True,
        )

    def refuses(
        self, party: str, action: str, request: object, reply: type, why: str, kind: str = "train"
    ) -> None:
        store = Store(Path(self.run.config.state, party, "s", MODEL))
        before = store.last()
        with pytest.raises(FederationError, match=why):
            self.ask(action, {party: request}, reply, kind)
        after = store.last()
        assert after.step == before.step
        for name, array in before.state.items():
            np.testing.assert_array_equal(after.state[name], array)


@pytest.fixture
def started(tables: Path, federate: Callable) -> StartedModel:
    return StartedModel(federate(tables))


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
    roles = assign_roles(run.federation, 1)
    with pytest.raises(FederationError, match=why):
        run.federation.exchange.ask(
            "train.network_start", {party: StartRequest(1, spoil(roles))}, Started, MODEL
        )


def test_a_second_start(started: StartedModel) -> None:
    for party in ("bank", "tax"):
        started.refuses(party, "start", StartRequest(1, started.roles), Started, "a model is started once")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda it: replace(it, positions=np.array([400])), "positions must lie between 0 and 399"),
        (lambda it: replace(it, positions=np.array([-1])), "positions must lie between 0 and 399"),
        (lambda it: replace(it, positions=it.positions.astype(np.float32)), "positions must be integers"),
        (lambda it: replace(it, positions=it.positions[None]), "positions must be integers"),
        (
            lambda it: replace(it, gradient=np.ones((3, 16), np.float32)),
            r"gradient must be \(0, 16\) of float32",
        ),
        (lambda it: replace(it, gradient=np.empty((0, 16))), r"gradient must be \(0, 16\) of float32"),
    ],
)
def test_a_first_batch_that_makes_no_sense(started: StartedModel, spoil: Callable, why: str) -> None:
    started.refuses("tax", "forward", spoil(started.forward), Embeddings, why)


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
    embedded = started.backward().batch["tax"]
    request = replace(started.forward, gradient=spoil(np.ones_like(embedded)))
    started.refuses("tax", "forward", request, Embeddings, why)


def nan_in_one(embeddings: dict) -> dict:
    spoiled = embeddings["tax"].copy()
    spoiled[0, 0] = np.nan
    return embeddings | {"tax": spoiled}


@pytest.mark.parametrize("part", ["batch", "validation"])
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (nan_in_one, "embeddings of tax must be finite"),
        (lambda all_of_them: all_of_them | {"tax": all_of_them["tax"][:-1]}, "embeddings of tax must be"),
        (lambda all_of_them: all_of_them | {"tax": all_of_them["tax"][:, :3]}, "embeddings of tax must be"),
        (lambda all_of_them: all_of_them | {"tax": all_of_them["tax"] > 0}, "embeddings of tax must be"),
        (lambda all_of_them: {"tax": all_of_them["tax"]}, "there for supply, tax and for no other"),
        (lambda all_of_them: all_of_them | {"other": all_of_them["tax"]}, "for no other"),
    ],
)
def test_embeddings_that_no_party_made(started: StartedModel, part: str, spoil: Callable, why: str) -> None:
    honest = started.backward()
    request = replace(honest, **{part: spoil(getattr(honest, part))})
    started.refuses("bank", "backward", request, Gradients, why)


def test_a_batch_of_rows_that_are_not_for_training(started: StartedModel) -> None:
    honest = started.backward()
    positions = honest.positions.copy()
    positions[0] = np.flatnonzero(started.roles == TEST)[0]
    started.refuses("bank", "backward", replace(honest, positions=positions), Gradients, "training rows")


def test_an_empty_batch(started: StartedModel) -> None:
    honest = started.backward()
    request = replace(honest, positions=honest.positions[:0])
    started.refuses("bank", "backward", request, Gradients, "training rows")


def test_embeddings_so_large_that_training_would_break(started: StartedModel) -> None:
    honest = started.backward()
    huge = {party: np.full_like(array, 3e38) for party, array in honest.batch.items()}
    request = replace(honest, batch=huge, validation={}, evaluate=False)
    started.refuses("bank", "backward", request, Gradients, "training diverged")


def test_steps_out_of_order_fail_without_a_word_about_what_is_there(started: StartedModel) -> None:
    for party, action, request, reply, kind in (
        ("tax", "embed", EmbedRequest(), Embeddings, "evaluate"),
        ("bank", "score", ScoreRequest({}), Scored, "evaluate"),
    ):
        why = f"Party {party} refused .*: it met an unexpected error; its own log says which"
        started.refuses(party, action, request, reply, why, kind)


def test_nothing_trains_after_the_end(started: StartedModel) -> None:
    started.ask("finish", {"tax": FinishRequest(False)}, Finished)
    started.refuses("tax", "forward", started.forward, Embeddings, "unexpected error")
