"""What parties refuse in messages of boosting."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.aligned import read_table
from clients.binned import Start
from clients.boosting import passive
from clients.store import Store
from fl.binning import UNKNOWN, Binning
from fl.boosting import (
    ANOTHER,
    NOBODY,
    YOU,
    Columns,
    FinishRequest,
    Gradients,
    Kept,
    Level,
    Members,
    OutcomesRequest,
    SplitRequest,
    StartRequest,
    SumRequest,
    Sums,
    unpacked,
)
from fl.boosting.forest import Splits
from fl.messages import Letter
from fl.scorecard import CountRequest, EncryptedSums, Labels, OpenRequest
from fl.splits import TEST
from server.exchange import FederationError
from tests.clients.boosting import Begun, model


@pytest.fixture
def begun(make_tables: Callable[..., Path], federate: Callable) -> Begun:
    return Begun(federate(make_tables(("tax",))))


WRONG_TASKS = {
    "lighter_left": np.array([True]),
    "bank_left": np.zeros(3, np.uint8),
    "round": 10**6,
    "keys": None,
}


WRONG_LEVELS = {
    "owners": np.array([9], np.int8),
    "splits": Splits(np.array([0]), np.zeros((1, 32), np.uint8)),
    "pad": np.zeros(3, np.uint8),
}


@pytest.mark.parametrize("field", WRONG_TASKS)
def test_a_task_that_does_not_fit_is_refused(begun: Begun, field: str) -> None:
    wrong = Letter.of(replace(begun.task, **{field: WRONG_TASKS[field]}))
    with pytest.raises(FederationError, match=r"Party tax refused .*: (?!it met an unexpected)"):
        begun.ask(replace(begun.root, task=wrong))


@pytest.mark.parametrize("field", WRONG_LEVELS)
def test_a_level_that_does_not_fit_is_refused(begun: Begun, field: str) -> None:
    level = begun.demand.levels["tax"].read(Level)
    wrong = Letter.of(replace(level, **{field: WRONG_LEVELS[field]}))
    with pytest.raises(FederationError, match=r"Party tax refused .*: (?!it met an unexpected)"):
        begun.ask(replace(begun.root, level=wrong))


@pytest.mark.parametrize("gradients", [None, Letter.of(Gradients({}))])
def test_sums_of_nothing_are_refused(begun: Begun, gradients: Letter | None) -> None:
    with pytest.raises(FederationError, match=r"to add up"):
        begun.ask(replace(begun.root, gradients=gradients))


def test_the_first_task_is_done_again_by_a_party_that_died_after_it_had_kept_its_keys(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)))
    begun = Begun(run)
    model(run, "tax").keep(begun.task.keys)

    assert begun.ask(begun.root).sums is not None


def test_a_split_of_a_column_that_is_not_there_is_refused(begun: Begun) -> None:
    splits = Splits(np.array([99]), np.zeros((1, 32), np.uint8))
    with pytest.raises(FederationError, match="columns must lie between 0 and 3"):
        begun.ask(begun.splitting(YOU, splits))


def bin_by_bin(begun: Begun) -> tuple[np.ndarray, int]:
    """The party's first column, (n,), as a bank sees it that asks for bin after bin, and how many bins there are."""
    begun.ask(begun.root)
    bins = int(begun.started.columns.read(Columns).shape.bins[0])
    seen = np.full(begun.task.bank_left.size * 8, UNKNOWN)
    for bin_ in range(bins):
        alone = Splits(np.array([0]), np.packbits(np.arange(256) == bin_)[None])
        asked = begun.unsummed(YOU, alone, round=bin_ + 1)
        seen[np.unpackbits(begun.ask(asked).members.read(Members).left[0]).astype(bool)] = bin_
    return seen, bins


def test_finding_5_splits_that_were_not_offered_are_refused(
    make_tables: Callable[..., Path], federate: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = make_tables(("tax",))
    with pytest.raises(FederationError, match=r"tax refused .* offered"):
        bin_by_bin(Begun(federate(tables, boosting={"trees": 20})))

    monkeypatch.setattr(passive, "check_splits", lambda *_: None)
    run = federate(tables, boosting={"trees": 20})
    seen, bins = bin_by_bin(Begun(run))
    binning = model(run, "tax").read(Binning)
    table, roles = read_table(Store(Path(run.config.state, "tax", "s"))), model(run, "tax").read(Start).roles
    codes = binning.transform(table, np.flatnonzero(roles != TEST))[:, 0]
    assert bins > 10
    np.testing.assert_array_equal(seen[: len(codes)], codes)


def test_finding_5_a_node_is_split_once(begun: Begun) -> None:
    sums = begun.ask(begun.root).sums.read(Sums)
    shape = begun.started.columns.read(Columns).shape
    flags = unpacked(sums.candidates[0], len(shape) * shape.width * 4).reshape(-1, shape.width, 2, 2)
    bin_ = int(np.flatnonzero(flags[0, :, 0, 0])[0])
    split = Splits(np.array([0]), np.packbits(np.arange(256) <= bin_)[None])
    begun.ask(begun.unsummed(YOU, split, round=0, ahead=False))
    with pytest.raises(FederationError, match="no split of node 0 has been offered"):
        begun.ask(begun.unsummed(YOU, split, round=0, ahead=False))


@pytest.mark.parametrize("number", [-1, 0, 2, 5])
def test_finding_5_rounds_follow_one_another(begun: Begun, number: int) -> None:
    begun.ask(begun.root)
    with pytest.raises(FederationError, match="does not follow round 0, of 4 at most"):
        begun.ask(begun.unsummed(NOBODY, round=number))


def test_finding_5_there_are_no_more_rounds_than_the_settings_say(begun: Begun) -> None:
    begun.ask(begun.root)
    for number in range(1, 5):
        begun.ask(begun.unsummed(NOBODY, round=number))
    with pytest.raises(FederationError, match="round 5 does not follow round 4, of 4 at most"):
        begun.ask(begun.unsummed(NOBODY, round=5))


@pytest.mark.parametrize(("depth", "message"), [(1, "a tree has 1 levels"), (3, "1 nodes to split, not 2")])
def test_finding_5_a_tree_goes_no_deeper_and_wider_than_it_can(
    make_tables: Callable[..., Path], federate: Callable, depth: int, message: str
) -> None:
    begun = Begun(federate(make_tables(("tax",)), boosting={"depth": depth}))
    begun.ask(begun.root)
    with pytest.raises(FederationError, match=message):
        begun.ask(begun.unsummed(NOBODY, round=0, ahead=False, lighter_left=np.ones(2, bool)))


def test_the_bank_s_keys_come_once(begun: Begun) -> None:
    begun.ask(begun.root)
    with pytest.raises(FederationError, match="first task and with no other"):
        begun.ask(begun.root)


def test_sums_are_given_only_when_announced(begun: Begun) -> None:
    begun.ask(begun.root)
    with pytest.raises(FederationError, match="Waiting is not of its declared form"):
        begun.ask(SumRequest(begun.demand.gradients, {}))


def test_a_demand_before_the_last_is_answered_is_refused(begun: Begun) -> None:
    grown = begun.ask(begun.splitting(ANOTHER))
    assert grown.sums is None
    with pytest.raises(FederationError, match="Growing is not of its declared form"):
        begun.ask(begun.splitting(ANOTHER, keys=None))


def test_sums_that_waited_need_members_of_every_row(begun: Begun) -> None:
    begun.ask(begun.splitting(ANOTHER))
    short = Letter.of(Members(begun.task.bank_left[:, :-1]))
    with pytest.raises(FederationError, match="members must be"):
        begun.ask(SumRequest(begun.demand.gradients, {"bank": short}))


def test_a_party_keeps_no_more_splits_than_it_has(begun: Begun) -> None:
    begun.ask(begun.root)
    with pytest.raises(FederationError, match="splits must lie between 0 and 0"):
        begun.ask(FinishRequest(Letter.of(Kept(1))))


def test_a_model_is_started_once(begun: Begun) -> None:
    with pytest.raises(FederationError, match="boosting_start comes first"):
        begun.ask(StartRequest(seed=1, split=begun.split))


def test_a_model_that_was_not_started_has_no_outcomes(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)))
    with pytest.raises(FederationError, match="boosting_outcomes comes after finish, and nothing has come"):
        run.federation.exchange.ask_each(OutcomesRequest(), "federated-boosting/7")


@pytest.mark.parametrize("field", ["members", "candidates", "sums", "homes"])
def test_the_bank_refuses_answers_that_do_not_fit(begun: Begun, field: str) -> None:
    grown = begun.ask(begun.root)
    sums = grown.sums.read(Sums)
    wrong = {
        "sums": {name: array for name, array in sums.sums.items() if name != "replies"},
        "candidates": sums.candidates[:, :-1],
        "homes": np.full_like(sums.homes, 99),
    }
    request = SplitRequest(members={"tax": grown.members}, sums={"tax": grown.sums})
    if field == "members":
        request = replace(request, members={"tax": Letter.of(Members(np.zeros(3, np.uint8)))})
    else:
        request = replace(request, sums={"tax": Letter.of(replace(sums, **{field: wrong[field]}))})
    with pytest.raises(FederationError, match=r"Party bank refused .*: (?!it met an unexpected)"):
        begun.ask(request, "bank")


def test_the_bank_refuses_sums_of_too_few_parties(begun: Begun) -> None:
    grown = begun.ask(begun.root)
    with pytest.raises(FederationError, match="sums must be there for tax"):
        begun.ask(SplitRequest(members={"tax": grown.members}, sums={}), "bank")


def test_each_answer_is_opened_once(begun: Begun) -> None:
    grown = begun.ask(begun.root)
    request = SplitRequest(members={"tax": grown.members}, sums={"tax": grown.sums})
    begun.ask(request, "bank")
    # That a letter is heard once, too, is tested where letters are (`test_post.py`). Of a root there are two children.
    sums = grown.sums.read(Sums)
    again = Letter.of(replace(sums, homes=np.repeat(sums.homes, 2, axis=0)))
    with pytest.raises(FederationError, match="for another request"):
        begun.ask(replace(request, sums={"tax": again}), "bank")


STRANGE = {
    "tax": CountRequest(Letter.of(Labels(label_key={}, residual_key={}, encrypted={}))),
    "bank": OpenRequest({"tax": Letter.of(EncryptedSums({}))}),
}


@pytest.mark.parametrize("party", STRANGE)
@pytest.mark.parametrize("defended", [True, False])
def test_finding_6_the_scorecard_s_requests_get_no_answer_from_a_forest_s_keys(
    begun: Begun, monkeypatch: pytest.MonkeyPatch, party: str, defended: bool
) -> None:
    reached = []
    monkeypatch.setattr("clients.scorecard.count", lambda *_: reached.append("tax"))
    monkeypatch.setattr("clients.scorecard.open_sums", lambda *_: reached.append("bank"))
    if not defended:
        monkeypatch.setattr("clients.answering._check_order", lambda *_: None)
    with pytest.raises(
        FederationError, match="belongs to the conversation boosting" if defended else "unexpected"
    ):
        begun.ask(STRANGE[party], party)
    assert reached == ([] if defended else [party])
