import itertools
from dataclasses import replace

import pytest

from fl.errors import ProtocolError
from fl.handshake import Description, Introduction
from fl.messages import Reader
from fl.protocols import HORIZONTAL, HYBRID, VERTICAL, Conversation, announced
from server.roster import Roster, form_roster

NEEDED = (announced("alignment/1"), announced("network/1"))


def party(name: str, holds_label: bool = False) -> Description:
    return Description(
        name=name,
        type="table",
        columns=("inflow",),
        kinds=("numeric",),
        grades=(3,),
        rows=10,
        target="binary" if holds_label else "",
        conversations=("alignment/1", "handshake/1", "network/1"),
        schema="0",
        introduction=Introduction(name=name, holds_label=holds_label, sealing=b"", signing=b"", settings=""),
        pinned=False,
    )


def described(*parties: Description) -> dict[str, Description]:
    return {about.name: about for about in parties}


def test_whatever_the_order_of_connection_the_roster_is_the_same() -> None:
    parties = [party("tax"), party("bank", holds_label=True), party("supply_chain"), party("customs")]

    rosters = [form_roster(described(*order), NEEDED) for order in itertools.permutations(parties)]

    assert {roster.of(Reader.PARTIES) for roster in rosters} == {("bank", "customs", "supply_chain", "tax")}
    assert {roster.of(Reader.PASSIVE) for roster in rosters} == {("customs", "supply_chain", "tax")}
    assert {roster.of(Reader.LABEL_HOLDER) for roster in rosters} == {("bank",)}
    assert {roster.holder for roster in rosters} == {"bank"}


def test_a_bank_alone_is_a_federation() -> None:
    assert form_roster(described(party("bank", holds_label=True)), NEEDED).passive == ()


def test_a_federation_without_a_label_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"No party holds the label.*Parties: tax, supply_chain\."):
        form_roster(described(party("tax"), party("supply_chain")), NEEDED)


def test_what_several_banks_train_together_is_refused_with_one_bank() -> None:
    together = Conversation(
        name="network", version=1, layouts=(HORIZONTAL, HYBRID), contenders=("banks-network",)
    )
    said = "held by bank, so this federation is vertical; network/1 is for horizontal or hybrid ones"
    with pytest.raises(ProtocolError, match=said):
        form_roster(described(party("bank", True), party("tax")), [together])


def test_banks_have_the_same_columns_in_any_order() -> None:
    both = {"columns": ("inflow", "sector"), "kinds": ("numeric", "categorical"), "grades": (3, 3)}
    bank, lender = replace(party("bank", True), **both), replace(party("lender", True), **both)
    turned = replace(lender, columns=both["columns"][::-1], kinds=both["kinds"][::-1])
    assert form_roster(described(bank, turned), NEEDED).holders == ("bank", "lender")
    for change in ({"kinds": ("numeric", "numeric")}, {"columns": ("inflow", "county")}):
        with pytest.raises(
            ProtocolError, match="Banks bank and lender offer different columns; declare the same"
        ):
            form_roster(described(bank, replace(lender, **change)), NEEDED)


def test_the_roster_of_a_bank_has_it_and_the_passive_parties() -> None:
    roster = form_roster(described(party("bank", True), party("tax"), party("lender", True)), NEEDED)
    assert roster.of(Reader.PARTIES) == ("bank", "lender", "tax")
    assert roster.of_bank("lender").of(Reader.PARTIES) == ("lender", "tax")
    assert roster.of_bank("lender").layout == VERTICAL


@pytest.mark.parametrize(
    ("holders", "passive", "layout"),
    [
        (("bank",), (), VERTICAL),
        (("bank",), ("tax", "customs"), VERTICAL),
        (("bank", "lender"), (), HORIZONTAL),
        (("bank", "lender"), ("tax",), HYBRID),
    ],
)
def test_a_layout_is_accepted_if_every_conversation_is_for_it_or_for_each_bank(
    holders: tuple[str, ...], passive: tuple[str, ...], layout: str
) -> None:
    assert Roster(holders, passive).layout == layout
    parties = described(*(party(name, True) for name in holders), *(party(name) for name in passive))
    contender = {"name": "network", "version": 1, "contenders": ("federated-network",)}
    for layouts in ((layout,), (VERTICAL,)):
        assert form_roster(parties, [Conversation(**contender, layouts=layouts)]).holders == holders
    others = tuple({HORIZONTAL, HYBRID} - {layout})
    with pytest.raises(
        ProtocolError, match=f"this federation is {layout}; network/1 is for {' or '.join(others)} ones"
    ):
        form_roster(parties, [Conversation(**contender, layouts=others)])


def test_a_party_that_lacks_a_conversation_is_named_with_what_it_speaks() -> None:
    old = replace(party("tax"), conversations=("alignment/1",))
    with pytest.raises(ProtocolError, match=r"Party tax does not speak network/1.*speaks alignment/1"):
        form_roster(described(party("bank", True), old), NEEDED)


def test_a_party_that_offers_nothing_is_named() -> None:
    with pytest.raises(ProtocolError, match="Party tax offers no column"):
        form_roster(described(party("bank", True), replace(party("tax"), columns=())), NEEDED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kinds": ()}, "must describe each of its columns once"),
        ({"grades": (3, 3)}, "must describe each of its columns once"),
        (
            {"columns": ("inflow", "inflow"), "kinds": ("numeric",) * 2, "grades": (3, 3)},
            "each of its columns once",
        ),
        ({"kinds": ("text",)}, "other kinds than categorical and numeric"),
    ],
)
def test_a_party_must_describe_what_it_offers(change: dict, message: str) -> None:
    with pytest.raises(ProtocolError, match=f"Party tax .*{message}"):
        form_roster(described(party("bank", True), replace(party("tax"), **change)), NEEDED)
