from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flwr.app import Message

from clients.aligned import read_applications, read_coverage, read_sensitive, read_table
from clients.data.declaration import read_declaration, write_declaration
from clients.store import Store
from fl.alignment import BlindRequest
from fl.wire import Envelope, refusal_in, to_bytes
from server.coordinator import assign_roles, train, train_reserve
from server.progress import ignore
from server.training import Training


def raw(data: Path, party: str) -> pd.DataFrame:
    return pd.read_csv(data / party / "table.csv").set_index("business_id")


def study(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s"))


@pytest.mark.parametrize("mode", ["left", "inner"])
@pytest.mark.parametrize("passive", [(), ("tax",), ("tax", "supply"), ("customs", "power", "tax")])
def test_position_k_is_the_same_business_at_every_party(
    make_tables: Callable[..., Path], federate: Callable, mode: str, passive: tuple[str, ...]
) -> None:
    data = make_tables(passive, rows=60)
    known = {party: set(raw(data, party).index) for party in ("bank", *passive)}
    wanted = set.intersection(*known.values()) if mode == "inner" else known["bank"]

    run = federate(data, alignment=mode)

    ids = read_applications(study(run, "bank")).ids
    assert set(ids) == wanted
    assert len(ids) == len(wanted) == run.federation.alignment.positions
    for party in ("bank", *passive):
        table = read_table(study(run, party))
        expected = raw(data, party).reindex(ids)
        np.testing.assert_array_equal(table.known, [one in known[party] for one in ids])
        np.testing.assert_array_equal(table.numeric, expected[["a", "b", "c"]])
        texts = [table.levels[0][code] if code >= 0 else None for code in table.codes[:, 0]]
        assert texts == [text if isinstance(text, str) else None for text in expected["kind"]]
        assert run.federation.alignment.known[party] == len(known[party] & wanted)


def test_the_bank_keeps_labels_and_who_knows_what(tables: Path, federate: Callable) -> None:
    run = federate(tables)

    applications = read_applications(study(run, "bank"))
    expected = raw(tables, "bank").loc[applications.ids]
    np.testing.assert_array_equal(applications.labels, expected["default"])
    assert applications.segments["kind"].tolist() == expected["kind"].tolist()
    assert np.isnat(applications.months).all()
    for party, known in read_coverage(study(run, "bank")).items():
        np.testing.assert_array_equal(known, read_table(study(run, party)).known)


def test_a_sensitive_column_is_kept_by_the_bank_and_no_message_holds_it(
    make_tables: Callable[..., Path], federate: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, sent = make_tables(("tax",)), list[bytes]()
    folder = data / "bank"
    table = pd.read_csv(folder / "table.csv")
    table["gender"] = np.where(np.arange(len(table)) % 2, "fémale", "mále")
    table.to_csv(folder / "table.csv", index=False)
    write_declaration(folder, replace(read_declaration(folder), sensitive=("gender",)))

    def recorded(message: Message) -> Message:
        sent.append(to_bytes(message.content))
        return message

    with monkeypatch.context() as patch:
        patch.setattr(
            "experiments.backends.inline.Message", lambda *parts, **more: recorded(Message(*parts, **more))
        )
        run = federate(data)
        assigned = assign_roles(run.federation, 1)
        train_reserve(run.federation, assigned, 1, ignore)
        training = Training(
            contender="federated-boosting", seed=1, assigned=assigned, config=run.config, on_progress=ignore
        )
        train(run.federation, training)

    bank = study(run, "bank")
    kept = read_sensitive(bank)["gender"]
    assert kept.tolist() == table.set_index("business_id")["gender"][read_applications(bank).ids].tolist()
    everything = b"".join(sent)
    assert "coal".encode("utf-32-le") in everything
    for text in ("gender", "mále"):
        assert not any(text.encode(code) in everything for code in ("utf-8", "utf-32-le"))
    assert read_sensitive(study(run, "tax")) == {}


def test_a_passive_party_gets_neither_labels_nor_coverage(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    for read in (read_applications, read_coverage):
        with pytest.raises(FileNotFoundError):
            read(study(run, "tax"))


def test_months_travel_with_the_order(make_tables: Callable[..., Path], federate: Callable) -> None:
    data = make_tables(("tax",), rows=60, months=True)
    run = federate(data)

    applications = read_applications(study(run, "bank"))

    expected = raw(data, "bank").loc[applications.ids, "observation_month"]
    np.testing.assert_array_equal(applications.months, pd.to_datetime(expected).to_numpy("datetime64[M]"))


def test_the_order_tells_nothing_and_repeats(tables: Path, federate: Callable) -> None:
    first, again = (read_applications(study(federate(tables), "bank")).ids for _ in range(2))

    np.testing.assert_array_equal(first, again)
    file_order = raw(tables, "bank").index.to_numpy()
    assert (first != file_order).mean() > 0.9
    assert (first != np.sort(file_order)).mean() > 0.9


def test_exponents_are_forgotten(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    for party in run.config.parties:
        assert study(run, party).last().state == b""


def test_a_study_is_aligned_once(tables: Path, federate: Callable, send: Callable) -> None:
    run = federate(tables)
    for step in (1, 4):
        assert refusal_in(send(run.config, BlindRequest(), Envelope("s", "", step))) is not None
