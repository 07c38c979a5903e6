from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fl.errors import ProtocolError
from fl.handshake import Description, Introduction
from server.alignment import Alignment, doubts
from server.roster import Roster


@pytest.mark.parametrize(
    ("passive", "round_trips"),
    [((), 4), (("tax",), 5), (("customs", "power", "tax"), 5)],
)
def test_the_round_trips_do_not_grow_with_the_parties(
    make_tables: Callable[..., Path], federate: Callable, passive: tuple[str, ...], round_trips: int
) -> None:
    exchange = federate(make_tables(passive, rows=60)).federation.exchange
    assert exchange.costs.round_trips == 1 + round_trips  # with the handshake


def test_the_coordinator_learns_how_many_each_party_knows(tables: Path, federate: Callable) -> None:
    ids = {
        party: set(pd.read_csv(tables / party / "table.csv")["business_id"])
        for party in ("bank", "supply", "tax")
    }

    alignment = federate(tables).federation.alignment

    assert alignment.positions == len(ids["bank"])
    assert dict(alignment.known) == {party: len(own & ids["bank"]) for party, own in ids.items()}


def test_parties_that_share_no_business_are_stopped_by_name(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    data = make_tables(("tax",), rows=60)
    table = data / "tax" / "table.csv"
    frame = pd.read_csv(table)
    frame["business_id"] = [f"other{number}" for number in range(len(frame))]
    frame.to_csv(table, index=False)

    with pytest.raises(ProtocolError, match="no business that all parties know"):
        federate(data, alignment="inner")
    with pytest.raises(ProtocolError, match="Party tax knows no business of bank; is the id column"):
        federate(data, alignment="left")


@pytest.mark.parametrize(
    ("rows", "known", "doubtful"),
    [(1000, 49, True), (1000, 50, False), (1000, 700, False), (40, 3, False), (40, 1, True)],
)
def test_a_suspiciously_small_overlap_is_told_with_what_to_check(
    rows: int, known: int, doubtful: bool
) -> None:
    about = Description(
        name="tax",
        type="table",
        columns=("a",),
        kinds=("numeric",),
        grades=(3,),
        rows=rows,
        target="",
        conversations=(),
        schema="",
        introduction=Introduction(name="tax", holds_label=False, sealing=b"", signing=b"", settings=""),
        pinned=False,
    )
    roster = Roster(("bank",), ("tax",), {"tax": about})

    said = doubts(Alignment({"bank": range(1000)}, {"bank": 1000, "tax": known}), roster)

    assert bool(said) == doubtful
    if doubtful:
        assert said.startswith(f"tax knows {known} of 1,000 businesses: ids are compared as exact text")
        assert "letter case" in said
