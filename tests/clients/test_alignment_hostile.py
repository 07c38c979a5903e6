"""What a party does with alignment messages that no honest party would send: it refuses, unchanged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict

from clients.post import Partners
from clients.store import Store
from fl.alignment import (
    BlindPoints,
    BlindRequest,
    BothPoints,
    MatchRequest,
    Order,
    OrderRequest,
    RaisedIds,
    RaiseRequest,
)
from fl.alignment.intersection import Points, hash_to_points, new_exponent, raise_to
from fl.config.run import TrainingConfig
from fl.messages import Head, Letter
from fl.protocols import Conversation
from fl.seals import Context, Identity, seal
from fl.tables import Table
from fl.wire import Envelope, refusal_in, unpack

BANK, TAX = {"partition-id": 0}, {"partition-id": 1}
Send, Meet = Callable[..., RecordDict], Callable[[TrainingConfig], None]


@pytest.fixture
def config(tables: Path, tmp_path: Path) -> TrainingConfig:
    return TrainingConfig(data=str(tables), parties=("bank", "tax", "supply"), state=str(tmp_path), study="s")


@pytest.fixture
def ask(send: Send, meet: Meet, config: TrainingConfig) -> Send:
    """Sends an alignment request to a party that has met the others; the bank is asked to blind its ids first."""
    meet(config)
    send(config, BlindRequest(), Envelope("s", "", 2), BANK)
    return lambda request, node: send(config, request, Envelope("s", "", 3 if node is BANK else 2), node)


def some_points(count: int) -> Points:
    ids = np.array([f"id{number}" for number in range(count)])
    return raise_to(hash_to_points(ids), new_exponent())


def order(businesses: np.ndarray, months: np.ndarray) -> OrderRequest:
    return OrderRequest(Letter.of(Order(businesses, months)))


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((3, 32), np.uint8),  # the identity, which would stay what it is under every exponent
        np.full((3, 32), 255, np.uint8),
        np.zeros((3, 31), np.uint8),
        np.zeros(32, np.uint8),
        np.zeros((3, 32), np.float32),
    ],
)
def test_what_is_no_point_is_not_raised(ask: Callable, config: TrainingConfig, points: np.ndarray) -> None:
    request = RaiseRequest(Letter.of(BlindPoints(points)))
    assert "linded ids" in refusal_in(ask(request, TAX))
    assert Store(Path(config.state, "tax", "s")).last().step == 1


@pytest.mark.parametrize(
    ("node", "request_", "why"),
    [
        (
            TAX,
            RaiseRequest(Letter.of(Order(np.zeros(1), np.zeros(1)))),
            "a BlindPoints is not of its declared form",
        ),
        (TAX, RaiseRequest(Letter(b"")), "a BlindPoints is not of its declared form"),
        (TAX, OrderRequest(Letter(b"")), "comes after raise_points or match"),
    ],
    ids=["another letter", "an empty letter", "no points yet"],
)
def test_a_letter_of_another_kind_is_refused(ask: Callable, node: dict, request_: object, why: str) -> None:
    assert why in refusal_in(ask(request_, node))


@pytest.mark.parametrize(
    ("mode", "points", "why"),
    [
        ("right", BothPoints(raised=some_points(400), blinded=some_points(5)), "mode must be left or inner"),
        (
            "left",
            BothPoints(raised=some_points(399), blinded=some_points(5)),
            "as many as the 400 blinded ids",
        ),
        (
            "left",
            BothPoints(raised=some_points(401), blinded=some_points(5)),
            "as many as the 400 blinded ids",
        ),
        ("left", BlindPoints(some_points(400)), "a BothPoints is not of its declared form"),
    ],
    ids=["unknown mode", "too few points", "too many points", "another letter"],
)
def test_a_match_that_cannot_be(ask: Callable, mode: str, points: object, why: str) -> None:
    request = MatchRequest(mode=mode, points={"tax": Letter.of(points)})
    assert why in refusal_in(ask(request, BANK))


@pytest.fixture
def ordered(ask: Send, send: Send, config: TrainingConfig) -> Send:
    """Sends the tax bureau an order, after it has raised the bank's points."""
    assert refusal_in(ask(RaiseRequest(Letter.of(BlindPoints(some_points(3)))), TAX)) is None
    return lambda businesses, months: send(config, order(businesses, months), Envelope("s", "", 3), TAX)


@pytest.mark.parametrize(
    ("businesses", "months", "why"),
    [
        (np.array([0, 0]), np.array([-1, -1]), "each business once"),
        (np.array([0, 10_000]), np.array([-1, -1]), "businesses must lie between"),
        (np.array([0, -2]), np.array([-1, -1]), "businesses must lie between"),
        (np.array([0.0, 1.0]), np.array([-1, -1]), "businesses must be integers"),
        (np.array([[0, 1]]), np.array([-1, -1]), "businesses must be integers"),
        (np.array([0, 1]), np.array([-1]), "months must be 2 integers"),
        (np.array([0, 1]), np.array([-1, 2**31 - 1]), "months must lie between"),
        (np.array([0, 1]), np.array([-1, -9]), "months must lie between"),
    ],
)
def test_an_order_that_cannot_be(
    ordered: Callable, config: TrainingConfig, businesses: np.ndarray, months: np.ndarray, why: str
) -> None:
    assert why in refusal_in(ordered(businesses, months))
    assert not Store(Path(config.state, "tax", "s")).has(Table)


def test_a_business_may_have_a_row_for_each_of_several_months(ordered: Callable) -> None:
    assert refusal_in(ordered(np.array([0, 0]), np.array([600, 601]))) is None


def test_the_secret_exponent_is_private_while_it_exists_and_gone_afterwards(
    ordered: Callable, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(config.state, "tax", "s")
    assert b"exponent" in Store(folder).last().state
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700

    ordered(np.array([0, 1]), np.array([-1, -1]))

    assert Store(folder).last().state == b""
    assert [path.name for path in folder.glob("*.step")] == ["00000003.step"]
    assert not any(b"exponent" in path.read_bytes() for path in folder.iterdir())


def test_a_party_sends_its_ids_in_another_order_each_time(
    send: Send, meet: Meet, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.alignment.new_exponent", lambda: bytes([1]) + bytes(31))
    request = RaiseRequest(Letter.of(BlindPoints(some_points(3))))
    blinded = []
    for study in ("one", "two"):
        of_study = replace(config, study=study)
        meet(of_study)
        raised = unpack(send(of_study, request, Envelope(study, "", 2), TAX), RaisedIds)
        blinded.append(raised.points.read(BothPoints).blinded)
    first, second = blinded

    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(np.unique(first, axis=0), np.unique(second, axis=0))


@pytest.mark.parametrize("defended", [True, False])
@pytest.mark.parametrize("model", ["a/1", "federated-boosting/1", "splits/1", "answers"])
def test_finding_6_a_study_is_aligned_in_its_own_state_only(
    send: Send,
    introduction: Callable,
    meet: Meet,
    config: TrainingConfig,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    defended: bool,
) -> None:
    if not defended:
        monkeypatch.setattr(Conversation, "keeps", lambda *_: True)
    meet(config)
    refused = refusal_in(send(config, introduction(config), Envelope("s", model, 1), TAX))
    assert refused == (f"alignment keeps no state under the name {model}" if defended else None)


def test_finding_6_points_are_raised_once_in_a_study(
    ask: Callable, send: Send, config: TrainingConfig
) -> None:
    request = RaiseRequest(Letter.of(BlindPoints(some_points(3))))
    assert refusal_in(ask(request, TAX)) is None
    refused = refusal_in(send(config, request, Envelope("s", "", 3), TAX))
    assert refused == "alignment_raise_points comes after meet, and the last was raise_points"


@pytest.mark.parametrize("defended", [True, False])
def test_finding_6_points_that_the_bank_has_not_blinded_are_not_raised(
    ask: Callable, send: Send, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch, defended: bool
) -> None:
    if not defended:
        monkeypatch.setattr("clients.post.verify", lambda *_: None)
    guessed = Letter.of(BlindPoints(some_points(3)))
    context = Context(
        study="s",
        model="",
        step=2,
        settings=config.digest,
        sender="bank",
        kind="fl.alignment.BlindPoints",
    )
    tax = Store(Path(config.state, "tax", "s")).read(Partners).introductions["tax"].keys
    forged = seal(guessed, context, Identity.new(), {"tax": tax}, head=Head(), encrypted=True)
    refused = refusal_in(send(config, RaiseRequest(forged), Envelope("s", "", 2), TAX, sealed=True))
    assert (refused is not None and "is not signed by it" in refused) == defended


@pytest.mark.parametrize(
    ("node", "request_", "refused"),
    [
        (
            BANK,
            RaiseRequest(Letter.of(BlindPoints(some_points(3)))),
            "alignment_raise_points is asked of a passive party, and it is the label holder",
        ),
        (TAX, BlindRequest(), "alignment_blind is asked of the label holder, and it is a passive party"),
    ],
    ids=["bank", "tax"],
)
def test_finding_6_a_party_does_what_is_asked_of_its_role(
    ask: Callable, node: dict, request_: object, refused: str
) -> None:
    assert refusal_in(ask(request_, node)) == refused
