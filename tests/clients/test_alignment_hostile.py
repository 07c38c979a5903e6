"""What a party does with alignment messages that no honest party would send: it refuses, unchanged."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict

from clients.store import Store
from fl.alignment import (
    BlindedIds,
    BlindRequest,
    MatchRequest,
    OrderRequest,
    RaiseRequest,
    hash_to_points,
    new_exponent,
    raise_to,
)
from fl.config.run import RunConfig
from fl.messages import Envelope, refusal_in, unpack

BANK, TAX = {"partition-id": 0}, {"partition-id": 1}


@pytest.fixture
def config(tables: Path, tmp_path: Path) -> RunConfig:
    return RunConfig(data=str(tables), parties="bank,tax,supply", state=str(tmp_path), study="s")


@pytest.fixture
def ask(send: Callable[..., RecordDict], config: RunConfig) -> Callable[..., RecordDict]:
    """Sends an alignment request; each party is asked to blind its ids first."""
    for node in (BANK, TAX):
        send(config, "train.alignment_blind", BlindRequest(), Envelope("s", "", 1), node)

    def deliver(action: str, body: object, node: dict, step: int = 2) -> RecordDict:
        return send(config, f"train.alignment_{action}", body, Envelope("s", "", step), node)

    return deliver


def some_points(count: int) -> np.ndarray:
    return raise_to(hash_to_points(np.array([f"id{number}" for number in range(count)])), new_exponent())


def test_ids_are_blinded_once_per_study(ask: Callable) -> None:
    assert refusal_in(ask("blind", BlindRequest(), TAX)) == "a study is aligned once"


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
def test_what_is_no_point_is_not_raised(ask: Callable, config: RunConfig, points: np.ndarray) -> None:
    assert "linded ids" in refusal_in(ask("raise_points", RaiseRequest(points), TAX))
    assert Store(Path(config.state, "tax", "s")).last().step == 1


@pytest.mark.parametrize(
    ("mode", "blinded", "raised", "why"),
    [
        ("right", 5, {"tax": 400}, "mode must be left or inner"),
        ("left", 5, {"tax": 399}, "as many as the 400 blinded ids"),
        ("left", 5, {"tax": 401}, "as many as the 400 blinded ids"),
        ("left", 5, {"supply": 400}, "raised points must be there for tax and for no other"),
        ("left", 5, {}, "raised points must be there for tax and for no other"),
    ],
)
def test_a_match_that_cannot_be(ask: Callable, mode: str, blinded: int, raised: dict, why: str) -> None:
    request = MatchRequest(
        mode, {"tax": some_points(blinded)}, {name: some_points(count) for name, count in raised.items()}
    )
    assert why in refusal_in(ask("match", request, BANK))


@pytest.mark.parametrize(
    ("rows", "months", "why"),
    [
        (np.array([0, 0]), np.array([-1, -1]), "each business once"),
        (np.array([0, 10_000]), np.array([-1, -1]), "rows must lie between"),
        (np.array([0, -2]), np.array([-1, -1]), "rows must lie between"),
        (np.array([0.0, 1.0]), np.array([-1, -1]), "rows must be integers"),
        (np.array([[0, 1]]), np.array([-1, -1]), "rows must be integers"),
        (np.array([0, 1]), np.array([-1]), "months must be 2 integers"),
        (np.array([0, 1]), np.array([-1, 2**31 - 1]), "months must lie between"),
        (np.array([0, 1]), np.array([-1, -9]), "months must lie between"),
    ],
)
def test_an_order_that_cannot_be(
    ask: Callable, config: RunConfig, rows: np.ndarray, months: np.ndarray, why: str
) -> None:
    assert why in refusal_in(ask("order", OrderRequest(rows, months), TAX))
    assert not Path(config.state, "tax", "s", "features.npz").exists()


def test_the_secret_exponent_is_private_while_it_exists_and_gone_afterwards(
    ask: Callable, config: RunConfig
) -> None:
    folder = Path(config.state, "tax", "s")
    assert "exponent" in Store(folder).last().state
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700

    ask("order", OrderRequest(np.array([0, 1]), np.array([-1, -1])), TAX)

    assert Store(folder).last().state == {}
    assert [path.name for path in folder.glob("*.step")] == ["00000002.step"]


def test_a_party_sends_its_ids_in_another_order_each_time(
    send: Callable[..., RecordDict], config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.alignment.new_exponent", lambda: bytes([1]) + bytes(31))
    first, second = (
        unpack(BlindedIds, send(config, "train.alignment_blind", BlindRequest(), Envelope(study, "", 1), TAX))
        for study in ("one", "two")
    )

    assert not np.array_equal(first.points, second.points)
    np.testing.assert_array_equal(np.unique(first.points, axis=0), np.unique(second.points, axis=0))
