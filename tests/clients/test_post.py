"""Whoever carries the letters can neither read nor change, swap, repeat or reorder them without being noticed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from clients.app import PartyApp
from clients.data.declaration import read_declaration, write_declaration
from clients.identity import make_identity, read_identity
from experiments.backends.inline import InlineGrid
from fl.alignment import MatchRequest, MeetRequest, OrderRequest, RaiseRequest
from fl.boosting import GrowRequest
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.messages import Letter
from fl.protocols import message_type
from fl.seals import Identity
from fl.wire import envelope_of, pack, unpack
from server.coordinator import assign_roles, connect, train, train_reserve
from server.exchange import FederationError
from server.progress import ignore
from server.training import Training

PARTIES = ("bank", "tax", "supply")
Change = Callable[[int, Any], Any]


class Carrier(ClientApp):
    """Changes the requests of a class on their way, each by its number, from 0."""

    def __init__(self, kind: type[Any], change: Change) -> None:
        super().__init__()
        self.kind, self.change, self.count, self.app = kind, change, 0, PartyApp()

    def __call__(self, message: Message, context: Context) -> Message:
        if message.metadata.message_type == message_type(self.kind):
            request, envelope = unpack(message.content, self.kind), envelope_of(message.content)
            message.content = pack(self.change(self.count, request), envelope)
            self.count += 1
        return self.app(message, context)


def run(data: Path, state: Path, kind: type[Any], change: Change, **settings: Any) -> None:
    """Align and train boosting, with a carrier that changes requests."""
    config = TrainingConfig(data=str(data), parties=PARTIES, state=str(state), study="s", **settings)
    config = config.with_section(BoostingConfig(trees=2, depth=2, min_leaf_count=10, encryption="plain"))
    federation = connect(InlineGrid(config, Carrier(kind, change)), config, ignore)
    assigned = assign_roles(federation, 1)
    train_reserve(federation, assigned, 1, ignore)
    train(
        federation,
        Training(
            contender="federated-boosting", seed=1, assigned=assigned, config=config, on_progress=ignore
        ),
    )


def spoilt(letter: Letter[Any]) -> Letter[Any]:
    return replace(letter, content=letter.content[:-1] + bytes([letter.content[-1] ^ 1]))


def remembered(kept: dict[str, Any], name: str, at: int) -> Change:
    """From the request `at` on, a letter of an earlier request in place of the right one."""

    def change(number: int, request: Any) -> Any:
        kept.setdefault(name, getattr(request, name))
        return replace(request, **{name: kept[name]}) if number >= at else request

    return change


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        (GrowRequest, lambda _, it: replace(it, task=spoilt(it.task)), "is not signed by it as fl.boosting.Task"),
        (GrowRequest, lambda _, it: replace(it, task=Letter.of(MeetRequest({}))), "a letter of bank is needed"),
        (GrowRequest, lambda _, it: replace(it, task=it.level), "is not signed by it as fl.boosting.Task"),
        (GrowRequest, lambda _, it: replace(it, level=replace(it.level, step=9)), "is not signed by it"),
        (GrowRequest, lambda _, it: replace(it, gradients=spoilt(it.gradients)), "is not signed by it"),
        (RaiseRequest, lambda _, it: replace(it, points=replace(it.points, sender="tax")), "of bank is needed"),
        (MatchRequest, lambda _, it: replace(it, points=swapped(it.points)), "a letter of supply is needed"),
        (OrderRequest, lambda _, it: replace(it, order=replace(it.order, keys={})), "is not signed by it"),
        (GrowRequest, remembered({}, "task", 4), "came after one of step"),
    ],
)  # fmt: skip
def test_a_letter_that_was_changed_on_its_way_is_refused(
    tables: Path, tmp_path: Path, kind: type[Any], change: Change, said: str
) -> None:
    with pytest.raises(FederationError, match=said):
        run(tables, tmp_path, kind, change)


def swapped(letters: Mapping[str, Letter[Any]]) -> dict[str, Letter[Any]]:
    """Each under the name of the other."""
    return dict(zip(letters, reversed(letters.values()), strict=True))


def test_a_letter_to_one_party_is_not_read_by_another(tables: Path, tmp_path: Path) -> None:
    first: list[Any] = []

    def change(_: int, request: OrderRequest) -> OrderRequest:
        first.append(request.order)
        return OrderRequest(first[0])

    with pytest.raises(FederationError, match=r"a letter of bank is not for (tax|supply)"):
        run(tables, tmp_path, OrderRequest, change)


def test_a_carrier_that_changes_nothing_is_not_noticed(tables: Path, tmp_path: Path) -> None:
    run(tables, tmp_path, GrowRequest, lambda _, request: request)


def introduced(request: MeetRequest, party: str, **changes: Any) -> MeetRequest:
    """The same, but one party is introduced differently."""
    return MeetRequest({**request.partners, party: replace(request.partners[party], **changes)})


IMPOSTOR = Identity.new()


def forged(request: MeetRequest, name: str) -> MeetRequest:
    """The same, but somebody else introduces itself, correctly signed, under a party's name."""
    keys = IMPOSTOR.public
    other = replace(request.partners[name], sealing=keys.sealing, signing=keys.signing).signed_by(IMPOSTOR)
    return MeetRequest({**request.partners, name: other})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _, it: introduced(it, "tax", sealing=IMPOSTOR.public.sealing), "party tax has not signed"),
        (lambda _, it: introduced(it, "tax", holds_label=True), "party tax has not signed"),
        (lambda _, it: introduced(it, "tax", settings="0" * 64), "party tax has not signed"),
        (lambda _, it: introduced(it, "bank", name="tax"), "as somebody else|has not signed"),
        (lambda _, it: MeetRequest({}), "is introduced to the others as somebody else"),
        (lambda _, it: forged(it, "tax"), "as somebody else"),
    ],
)
def test_an_introduction_that_its_party_did_not_sign_is_refused(
    tables: Path, tmp_path: Path, change: Change, said: str
) -> None:
    with pytest.raises(
        FederationError, match=f"Party (bank|tax|supply) refused train.alignment_meet: .*({said})"
    ):
        run(tables, tmp_path, MeetRequest, change)


@pytest.fixture
def pinned(make_tables: Callable[..., Path]) -> Path:
    """A dataset whose parties have keys of their own making, and know those of the others."""
    data = make_tables()
    for party in PARTIES:
        make_identity(data / party)
    texts = {party: read_identity(data / party).public.text for party in PARTIES}
    for party in PARTIES:
        others = {name: text for name, text in texts.items() if name != party}
        write_declaration(data / party, replace(read_declaration(data / party), partners=others))
    return data


def test_partners_that_know_each_other_s_keys_work_together(pinned: Path, tmp_path: Path) -> None:
    run(pinned, tmp_path, GrowRequest, lambda _, request: request)


def test_who_has_another_key_than_its_partners_know_is_refused(pinned: Path, tmp_path: Path) -> None:
    # Signed correctly, so only the pinned key can tell.
    with pytest.raises(
        FederationError, match="names the partners that it works with, and tax has another key there"
    ):
        run(pinned, tmp_path, MeetRequest, lambda number, it: it if number == 1 else forged(it, "tax"))


def test_who_is_no_partner_is_refused(pinned: Path, tmp_path: Path) -> None:
    declared = read_declaration(pinned / "bank")
    known = {name: key for name, key in declared.partners.items() if name != "supply"}
    write_declaration(pinned / "bank", replace(declared, partners=known))
    with pytest.raises(FederationError, match=r"Party bank refused .* and supply is not there"):
        run(pinned, tmp_path, GrowRequest, lambda _, request: request)


def test_a_party_that_was_given_other_settings_is_found_out(tables: Path, tmp_path: Path) -> None:
    class OtherSettings(Carrier):
        def __call__(self, message: Message, context: Context) -> Message:
            if context.node_config["partition-id"] == 1:
                context.run_config["scorecard.min-group"] = 1
            return super().__call__(message, context)

    config = TrainingConfig(data=str(tables), parties=PARTIES, state=str(tmp_path), study="s")
    with pytest.raises(
        FederationError, match=r"refused train.alignment_meet: .*party .* runs by other settings"
    ):
        connect(InlineGrid(config, OtherSettings(GrowRequest, lambda _, it: it)), config, ignore)
