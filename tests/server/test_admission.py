"""A party takes part under the keys that the coordinator has of it, and under no other."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.proto.node_pb2 import NodeInfo

from clients.identity import own_identity
from experiments.backends.inline import InlineGrid
from fl.config.run import TrainingConfig
from fl.errors import ConfigError, ProtocolError
from fl.seals import Identity
from server.admission import PARTIES
from server.exchange import Exchange, FederationError

NAMES = ("bank", "tax")
SUPERNODES = {name: ec.generate_private_key(ec.SECP384R1()).public_key() for name in (*NAMES, "stranger")}


class KeyedGrid(InlineGrid):
    """A grid whose nodes have registered keys: node k + 2 that of the k-th of `holders`."""

    holders: tuple[str, ...] = NAMES

    def get_nodes(self) -> Iterable[NodeInfo]:
        form = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        keys = [SUPERNODES[name].public_bytes(*form) for name in self.holders]
        return [NodeInfo(node_id=number, public_key=key) for number, key in enumerate(keys, start=2)]


def line_of(name: str) -> str:
    return SUPERNODES[name].public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@pytest.fixture
def config(make_tables: Callable[..., Path]) -> TrainingConfig:
    return TrainingConfig(data=str(make_tables(("tax",))), parties=NAMES, study="s")


@pytest.fixture
def written(config: TrainingConfig) -> dict[str, dict[str, str]]:
    """What the coordinator's people write of the parties."""
    folders = {name: config.data_folder / name for name in NAMES}
    return {
        name: {"supernode": line_of(name), "identity": own_identity(data, data / "state").public.text}
        for name, data in folders.items()
    }


@pytest.fixture
def connect(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """Connects to nodes with the keys of `holders`, under a file of parties, and gives the names of who is there."""

    def connect(
        written: dict[str, object], holders: tuple[str, ...] = NAMES, names: tuple[str, ...] = NAMES
    ) -> list[str]:
        file = tmp_path / "parties.toml"
        file.write_text(tomli_w.dumps(written))
        monkeypatch.setenv(PARTIES, str(file))
        grid = KeyedGrid(config)
        grid.holders = holders
        return list(Exchange(grid, config.study, 60.0).connect(names, 0.5))

    return connect


def test_parties_under_their_own_keys_take_part(connect: Callable, written: dict) -> None:
    assert connect(written) == ["bank", "tax"]
    assert connect(
        {**written, "absent": {"supernode": line_of("stranger"), "identity": "A" * 84 + "AA=="}}
    ) == [
        "bank",
        "tax",
    ]


def test_only_the_parties_of_the_run_are_asked(connect: Callable, written: dict) -> None:
    assert connect(written, ("bank", "tax"), ("bank",)) == ["bank"]
    with pytest.raises(ConfigError, match="file of parties does not have 'utility'; it has bank, tax"):
        connect(written, NAMES, ("bank", "utility"))


def test_a_key_that_the_file_does_not_have_does_not_count(connect: Callable, written: dict) -> None:
    with pytest.raises(
        FederationError, match=r"1 of 2 parties connected within 0\.5 seconds; not so tax, by the key"
    ):
        connect(written, ("bank", "stranger"))


def test_a_party_under_anothers_name_is_refused(connect: Callable, written: dict) -> None:
    with pytest.raises(ProtocolError, match="with the key of party tax calls itself 'bank'"):
        connect(written, ("tax", "bank"))


def test_a_party_that_takes_the_name_of_one_that_is_there_is_told_apart_by_its_key(
    connect: Callable, written: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clients import handshake

    describe = handshake.describe
    monkeypatch.setattr(handshake, "describe", lambda *asked: replace(describe(*asked), name="bank"))
    with pytest.raises(ProtocolError, match="with the key of party tax calls itself 'bank'"):
        connect(written)


def test_an_identity_that_is_not_the_pinned_one_is_refused(connect: Callable, written: dict) -> None:
    written["tax"]["identity"] = Identity.new().public.text
    with pytest.raises(ProtocolError, match="Party tax has another identity than in the coordinator's file"):
        connect(written)


def test_an_introduction_that_its_party_has_not_signed_is_refused(
    connect: Callable, written: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clients import handshake

    introduce = handshake.introduce
    unsigned = lambda session: replace(introduce(session), signature=b"")  # noqa: E731
    monkeypatch.setattr(handshake, "introduce", unsigned)
    with pytest.raises(ProtocolError, match="Party bank has another identity"):
        connect(written)


@pytest.mark.parametrize("key", ["supernode", "identity"])
def test_a_file_in_which_two_parties_have_one_key_is_refused(
    connect: Callable, written: dict, key: str
) -> None:
    written["tax"][key] = written["bank"][key]
    with pytest.raises(ConfigError, match=rf"Two parties .* have the same key \({key}\)"):
        connect(written)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"supernode": "ssh-rsa AAAA"}, "The keys of tax in .* cannot be read"),
        ({"identity": "AAAA"}, "The keys of tax in .* no public key of a party"),
        ({"supernode": 1}, "The parties' keys in .* cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    connect: Callable, written: dict, change: dict, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        connect({**written, "tax": {**written["tax"], **change}})


def test_a_file_that_is_not_there_is_refused(config: TrainingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PARTIES, "/nowhere/parties.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        Exchange(KeyedGrid(config), config.study, 60.0).connect(NAMES, 60.0)
