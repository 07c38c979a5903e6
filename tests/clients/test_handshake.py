from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.app import RecordDict

from clients.data.declaration import read_declaration, schema_hash
from fl import protocols
from fl.config.run import TrainingConfig
from fl.handshake import DescribeRequest, Description
from fl.wire import unpack


@pytest.fixture
def describe(send: Callable[..., RecordDict], tables: Path) -> Callable[[int], Description]:
    config = TrainingConfig(data=str(tables), parties=("bank", "tax"))
    return lambda partition: unpack(
        send(config, DescribeRequest(), node={"partition-id": partition}), Description
    )


def test_a_party_says_who_it_is_and_what_it_offers(
    describe: Callable[[int], Description], tables: Path
) -> None:
    bank, tax = describe(0), describe(1)
    assert (bank.name, bank.type, bank.target) == ("bank", "table", "binary")
    assert (tax.name, tax.target) == ("tax", "")
    assert bank.columns == ("a", "b", "c", "kind")
    assert bank.kinds == ("numeric", "numeric", "numeric", "categorical")
    assert bank.grades == (3, 3, 3, 3)
    assert bank.rows == 400
    assert bank.schema == schema_hash(read_declaration(tables / "bank"))


def test_a_party_speaks_every_conversation_of_the_list_at_this_moment(
    describe: Callable[[int], Description], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert describe(0).conversations == tuple(f"{one.name}/{one.version}" for one in protocols.CONVERSATIONS)
    monkeypatch.setattr(protocols, "CONVERSATIONS", protocols.CONVERSATIONS[:2])
    assert describe(0).conversations == ("handshake/1", "alignment/1")
