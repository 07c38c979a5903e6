from collections.abc import Callable
from pathlib import Path

from flwr.app import RecordDict

from clients.data.declaration import read_declaration, schema_hash
from fl import alignment, boosting, handshake, network, scorecard, scoring, splits
from fl.config.run import RunConfig
from fl.handshake import DescribeRequest, Description
from fl.messages import Envelope, unpack


def test_a_party_says_who_it_is_and_what_it_offers(send: Callable[..., RecordDict], tables: Path) -> None:
    config = RunConfig(data=str(tables), parties="bank,tax")
    descriptions = [
        unpack(
            Description,
            send(
                config,
                "query.handshake_describe",
                DescribeRequest(),
                Envelope("s"),
                {"partition-id": partition},
            ),
        )
        for partition in (0, 1)
    ]

    bank, tax = descriptions
    assert (bank.name, bank.type, bank.holds_label) == ("bank", "table", True)
    assert (tax.name, tax.holds_label) == ("tax", False)
    assert bank.columns == ("a", "b", "c", "kind")
    assert bank.kinds == ("numeric", "numeric", "numeric", "categorical")
    assert bank.grades == (3, 3, 3, 3)
    assert bank.rows == 400
    assert bank.schema == schema_hash(read_declaration(tables / "bank"))
    modules = alignment, boosting, handshake, scorecard, scoring, splits, network
    spoken = {module.VERSION for module in modules}
    assert set(bank.protocols) == spoken
