"""What parties do with messages of boosting; that the model is right, the pooled twin shows."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fl.nesting import nested
from sklearn.metrics import roc_auc_score

from clients.aligned import read_applications
from clients.evaluation import SCORES
from clients.randomness import goss_generator
from clients.store import Store
from fl.boosting import (
    ANOTHER,
    YOU,
    BeginRequest,
    Demanded,
    Finished,
    FinishRequest,
    Grown,
    GrowRequest,
    Outcomes,
    OutcomesRequest,
    SplitRequest,
    Started,
    StartRequest,
    Summed,
    SumRequest,
)
from fl.encrypted_sums import plain
from fl.splits import VALIDATION
from server.coordinator import assign_roles, train
from server.exchange import FederationError
from server.progress import Progress
from server.training import Training

MODEL = "federated-boosting/1"


def trained(run) -> tuple[np.ndarray, list[Progress]]:
    """Train under seed 1: the roles, and the events that had metrics."""
    events: list[Progress] = []
    roles = assign_roles(run.federation, 1)
    train(run.federation, Training("federated-boosting", 1, roles, run.config, events.append))
    return roles, [event for event in events if event.metrics]


def model(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s", MODEL))


class Begun:
    """A model after the bank's first demand, for one passive party and one root."""

    def __init__(self, run) -> None:
        self.ask = run.federation.exchange.ask
        self.roles = assign_roles(run.federation, 1)
        self.started = self.one("start", StartRequest(1, self.roles, seal=False), Started)
        shapes = nested({"tax": self.started.shape}, ("tax",))
        begin = BeginRequest(1, self.roles, ("tax",), shapes, {})
        self.demand = self.one("begin", begin, Demanded, "bank")

    def one(self, action: str, request: object, reply: type, party: str = "tax", kind: str = "train"):
        return self.ask(f"{kind}.boosting_{action}", {party: request}, reply, MODEL)[party]

    @property
    def root(self) -> GrowRequest:
        """The demand for the first root, as the coordinator sends it."""
        d = self.demand
        none, splits = np.empty(0, np.int8), (np.empty(0, np.int64), np.empty((0, 32), np.uint8))
        nobody = np.empty(0, bool)
        sent = d.bank_left, np.empty(0, np.uint8), d.public_key, d.seal_key, d.encrypted
        return GrowRequest(d.tree, d.ahead, d.wanted, none, nobody, *splits, *sent)


@pytest.fixture
def begun(make_tables: Callable[..., Path], federate: Callable) -> Begun:
    return Begun(federate(make_tables(("tax",))))


def test_the_final_forest_is_the_one_with_the_best_validation_auc(tables: Path, federate: Callable) -> None:
    rash = {"trees": 12, "learning_rate": 0.8, "patience": 12, "min_leaf_count": 3}
    run = federate(tables, boosting=rash, alignment="inner")
    roles, looks = trained(run)
    aucs = [event.metrics["valid.auc"] for event in looks]
    assert len(aucs) == 12
    assert max(aucs) > aucs[-1]
    labels = read_applications(Store(Path(run.config.state, "bank", "s"))).labels
    scores = model(run, "bank").read(SCORES)["pd"]
    validation = roles == VALIDATION
    assert roc_auc_score(labels[validation], scores[validation]) == pytest.approx(max(aucs))


def test_training_stops_when_patience_ends(tables: Path, federate: Callable) -> None:
    run = federate(tables, boosting={"trees": 40, "learning_rate": 1.0, "patience": 3})
    _, looks = trained(run)
    aucs = [event.metrics["valid.auc"] for event in looks]
    assert len(aucs) == int(np.argmax(aucs)) + 1 + 3 < 40


def test_nobody_holds_the_whole_forest(tables: Path, federate: Callable) -> None:
    run = federate(tables, boosting={"patience": 0})
    trained(run)
    bank = model(run, "bank").read("model")
    passive = np.flatnonzero(bank["forest/owners"] > 0)
    assert len(passive)
    assert len(bank["columns"]) == bank["kept"][0] == (bank["forest/owners"] == 0).sum()
    for party in ("supply", "tax"):
        assert set(model(run, party).read("model")) == {"columns", "left"}
        assert dict(model(run, party).last().state) == {}


def test_calibrated_scores_meet_the_bad_rate_of_the_validation_rows(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    roles, _ = trained(run)
    labels = read_applications(Store(Path(run.config.state, "bank", "s"))).labels
    rows = roles == VALIDATION
    assert model(run, "bank").read(SCORES)["pd"][rows].mean() == pytest.approx(labels[rows].mean(), abs=0.02)


def test_no_sum_that_the_bank_gets_is_over_few_rows(
    make_tables: Callable[..., Path], federate: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    least, seen = 9, []
    answer = plain.PlainResponder.sums

    def watch(self: plain.PlainResponder, encrypted: dict, offsets: np.ndarray, bins: np.ndarray, counts):
        for low, high in pairwise(offsets):
            # The last bin holds what counts nowhere, too.
            seen.extend(
                np.bincount(column[low:high], minlength=n)[:-1]
                for column, n in zip(bins.T, counts, strict=True)
            )
        return answer(self, encrypted, offsets, bins, counts)

    monkeypatch.setattr(plain.PlainResponder, "sums", watch)
    trained(federate(make_tables(("tax",)), boosting={"min_bin_count": least, "min_leaf_count": 30}))
    rows = np.concatenate(seen)
    assert (rows >= least).sum() > 20
    assert ((rows == 0) | (rows >= least)).all()


def test_what_goss_leaves_out_nobody_sees(make_tables: Callable[..., Path], federate: Callable) -> None:
    # A passive party learns how many rows are encrypted and where they are: the same with GOSS as without.
    counts = []
    for options in ({}, {"goss_top": 0.1, "goss_other": 0.1}):
        run = federate(make_tables(("tax",)), boosting={"ahead": "none", **options})
        seen = []
        ask = run.federation.exchange.ask

        def watch(action: str, requests: dict, *rest: object, ask=ask, seen=seen):
            if action == "train.boosting_grow":
                seen += [r.encrypted["values"].shape for r in requests.values() if "values" in r.encrypted]
            return ask(action, requests, *rest)

        run.federation.exchange.ask = watch
        trained(run)
        counts.append(seen)
    assert counts[0] == counts[1]
    assert len(counts[0]) == 4


def test_who_knows_the_seed_cannot_repeat_what_goss_draws() -> None:
    labels = np.array([0, 1] * 50, np.int8)
    other = labels.copy()
    other[0] = 1
    assert goss_generator(labels, 1, 2).random() == goss_generator(labels, 1, 2).random()
    assert goss_generator(labels, 1, 2).random() != goss_generator(other, 1, 2).random()


WRONG = {
    "owners": np.array([9], np.int8),
    "lighter_left": np.array([True]),
    "columns": np.array([0]),
    "left": np.zeros((1, 32), np.uint8),
    "bank_left": np.zeros(3, np.uint8),
    "tree": 10**6,
    "encrypted": {},
}


@pytest.mark.parametrize("field", WRONG)
def test_a_demand_that_does_not_fit_is_refused(begun: Begun, field: str) -> None:
    with pytest.raises(FederationError, match=r"Party tax refused .*: (?!it met an unexpected)"):
        begun.one("grow", replace(begun.root, **{field: WRONG[field]}), Grown)


def test_a_split_of_a_column_that_is_not_there_is_refused(begun: Begun) -> None:
    own = {"owners": np.array([YOU], np.int8), "lighter_left": np.array([True])}
    split = {"columns": np.array([99]), "left": np.zeros((1, 32), np.uint8)}
    with pytest.raises(FederationError, match="columns must lie between 0 and 3"):
        begun.one("grow", replace(begun.root, **own, **split), Grown)


def test_sums_are_given_only_when_announced(begun: Begun) -> None:
    members = np.zeros_like(begun.demand.bank_left)
    with pytest.raises(FederationError, match="have not been announced"):
        begun.one("add_up", SumRequest(members, begun.demand.encrypted), Summed)


def test_a_demand_before_the_last_is_answered_is_refused(begun: Begun) -> None:
    other = {"owners": np.array([ANOTHER], np.int8), "lighter_left": np.array([True])}
    waiting = replace(begun.root, **other)
    grown = begun.one("grow", waiting, Grown)
    assert not grown.sums
    with pytest.raises(FederationError, match="have not been asked for"):
        begun.one("grow", waiting, Grown)


def test_a_party_keeps_no_more_splits_than_it_has(begun: Begun) -> None:
    with pytest.raises(FederationError, match="splits must lie between 0 and 0"):
        begun.one("finish", FinishRequest(1), Finished)


def test_a_model_is_started_once(begun: Begun) -> None:
    with pytest.raises(FederationError, match="started once"):
        begun.one("start", StartRequest(1, begun.roles, seal=False), Started)


def test_a_model_that_was_not_started_has_no_outcomes(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)))
    with pytest.raises(FederationError, match="not been started"):
        run.federation.exchange.ask(
            "evaluate.boosting_outcomes", {"tax": OutcomesRequest()}, Outcomes, "federated-boosting/7"
        )


@pytest.mark.parametrize("field", ["members", "candidates", "sums", "homes"])
def test_the_bank_refuses_answers_that_do_not_fit(begun: Begun, field: str) -> None:
    grown = begun.one("grow", begun.root, Grown)
    sums = nested({"tax": grown.sums}, ("tax",))
    right = {
        "members": {"tax": grown.members},
        "sums": sums,
        "candidates": {"tax": grown.candidates},
        "homes": {"tax": grown.homes},
    }
    wrong = {
        "members": {"tax": np.zeros(3, np.uint8)},
        "sums": {name: array for name, array in sums.items() if not name.endswith("sums")},
        "candidates": {"tax": grown.candidates[:, :-1]},
        "homes": {"tax": np.full_like(grown.homes, 99)},
    }
    with pytest.raises(FederationError, match=r"Party bank refused .*: (?!it met an unexpected)"):
        begun.one("split", SplitRequest(**(right | {field: wrong[field]})), Demanded, "bank")
