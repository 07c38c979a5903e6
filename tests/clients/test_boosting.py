"""What parties do with messages of boosting; that the model is right, the pooled twin shows."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from clients.aligned import read_applications, read_table
from clients.binned import Setup, Start, read_setup
from clients.boosting import label_holder, passive
from clients.boosting.demands import Growing
from clients.forests import BankModel, PassiveModel
from clients.post import Partners
from clients.randomness import goss_generator
from clients.scores import Scores
from clients.session import Session
from clients.store import Store
from fl.binning import UNKNOWN, Binning
from fl.boosting import (
    ANOTHER,
    NOBODY,
    YOU,
    BeginRequest,
    Columns,
    Demanded,
    Ended,
    FinishRequest,
    Gradients,
    Grown,
    GrowRequest,
    Kept,
    Keys,
    Level,
    Members,
    OutcomesRequest,
    SidesRequest,
    SplitRequest,
    StartRequest,
    SumRequest,
    Sums,
    Task,
    padding,
    unpacked,
)
from fl.boosting.forest import Splits
from fl.boosting.padding import PadSecret, PadUse, sides, within
from fl.config.boosting import BoostingConfig
from fl.encrypted_sums import plain
from fl.encrypted_sums.packing import Packing
from fl.messages import Head, Letter
from fl.records import decode, encode
from fl.scorecard import CountRequest, EncryptedSums, Labels, OpenRequest
from fl.seals import Context, Identity, seal
from fl.splits import TEST, VALIDATION, Split
from fl.tables import Table
from fl.wire import Envelope, refusal_in, unpack
from server.coordinator import assign_roles, train, train_reserve
from server.exchange import FederationError
from server.progress import Progress, ignore
from server.training import Training

MODEL = "federated-boosting/1"


def trained(run) -> tuple[np.ndarray, list[Progress]]:
    """Train under seed 1: the roles, and the events that had metrics."""
    events: list[Progress] = []
    assigned = assign_roles(run.federation, 1)
    train_reserve(run.federation, assigned, 1, ignore)
    train(
        run.federation,
        Training(
            contender="federated-boosting",
            seed=1,
            assigned=assigned,
            config=run.config,
            on_progress=events.append,
        ),
    )
    return assigned.split.read(Split).roles, [event for event in events if event.metrics]


def model(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s", MODEL))


def watched(run, kind: type) -> list:
    """The requests of a kind to any party, and what each was answered, in a list that grows as the run goes on."""
    seen = []
    ask = run.federation.exchange.ask

    def watch(requests: dict, *rest: object) -> dict:
        replies = ask(requests, *rest)
        seen.extend((r, replies[party]) for party, r in requests.items() if isinstance(r, kind))
        return replies

    run.federation.exchange.ask = watch
    return seen


class Begun:
    """A model after the bank's first demand, for one passive party and one root."""

    def __init__(self, run) -> None:
        self._exchange = run.federation.exchange
        self.split = assign_roles(run.federation, 1).split
        self.started = self.ask(StartRequest(seed=1, split=self.split))
        begin = BeginRequest(seed=1, split=self.split, columns={"tax": self.started.columns})
        self.demand = self.ask(begin, "bank")
        self.task = self.demand.task.read(Task)

    def ask(self, request: object, party: str = "tax"):
        return self._exchange.ask({party: request}, MODEL)[party]

    @property
    def root(self) -> GrowRequest:
        """The demand for the first root, as the coordinator sends it."""
        return GrowRequest(
            task=self.demand.task,
            level=self.demand.levels["tax"],
            gradients=self.demand.gradients,
            sides=None,
        )

    def splitting(self, owner: int, splits: Splits | None = None, **task: object) -> GrowRequest:
        """The same, but that demands to split a root, too."""
        level = Level(owners=np.array([owner], np.int8), splits=splits or Splits.none(), pad=None)
        changed = replace(self.task, **{"lighter_left": np.array([True]), "round": 1} | task)
        return replace(self.root, task=Letter.of(changed), level=Letter.of(level))

    def unsummed(self, owner: int, splits: Splits | None = None, **task: object) -> GrowRequest:
        """A later demand that splits a root and wants no sums."""
        asked = self.splitting(owner, splits, **{"wanted": False, "keys": None} | task)
        return replace(asked, gradients=None)


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
    scores = model(run, "bank").read(Scores).pd
    validation = roles == VALIDATION
    assert roc_auc_score(labels[validation], scores[validation]) == pytest.approx(max(aucs), abs=5e-5)


def test_training_stops_when_patience_ends(tables: Path, federate: Callable) -> None:
    run = federate(tables, boosting={"trees": 40, "learning_rate": 1.0, "patience": 3})
    _, looks = trained(run)
    aucs = [event.metrics["valid.auc"] for event in looks]
    assert len(aucs) == int(np.argmax(aucs)) + 1 + 3 < 40


def test_nobody_holds_the_whole_forest(tables: Path, federate: Callable) -> None:
    run = federate(tables, boosting={"patience": 0})
    trained(run)
    bank = model(run, "bank").read(BankModel)
    by_passive = np.flatnonzero(bank.forest.owners > 0)
    assert len(by_passive)
    assert len(bank.splits) == bank.kept[0] == (bank.forest.owners == 0).sum()
    for party in ("supply", "tax"):
        assert not model(run, party).has(BankModel)
        assert model(run, party).last().state == b""
    kept = [len(model(run, party).read(PassiveModel).splits) for party in ("supply", "tax")]
    assert kept == bank.kept[1:].tolist()


def test_calibrated_scores_meet_the_bad_rate_of_the_validation_rows(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    roles, _ = trained(run)
    labels = read_applications(Store(Path(run.config.state, "bank", "s"))).labels
    rows = roles == VALIDATION
    assert model(run, "bank").read(Scores).pd[rows].mean() == pytest.approx(labels[rows].mean(), abs=0.02)


def test_no_sum_that_the_bank_gets_is_over_few_rows(
    make_tables: Callable[..., Path], federate: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    least, seen = 9, []
    answer = plain.PlainResponder.sums

    def watch(
        self: plain.PlainResponder, encrypted: dict, offsets: np.ndarray, bins: np.ndarray, counts, wanted
    ):
        for low, high in pairwise(offsets):
            # The last bin holds what counts nowhere, too.
            seen.extend(
                np.bincount(column[low:high], minlength=n)[:-1]
                for column, n in zip(bins.T, counts, strict=True)
            )
        return answer(self, encrypted, offsets, bins, counts, wanted)

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
        seen = watched(run, GrowRequest)
        trained(run)
        letters = [request.gradients.read(Gradients) for request, _ in seen if request.gradients]
        counts.append([sent.encrypted["rows"].shape for sent in letters if sent.encrypted])
    assert counts[0] == counts[1]
    assert len(counts[0]) == 4


def test_who_knows_the_seed_cannot_repeat_what_goss_draws() -> None:
    labels = np.array([0, 1] * 50, np.int8)
    other = labels.copy()
    other[0] = 1
    assert goss_generator(labels, 1, 2).random() == goss_generator(labels, 1, 2).random()
    assert goss_generator(labels, 1, 2).random() != goss_generator(other, 1, 2).random()


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


def test_a_party_of_many_rows_reads_what_it_keeps_after_the_last_round() -> None:
    rows, config = 100_000, BoostingConfig(trees=1)
    values = Table(
        np.arange(4.0)[:, None], ("turnover",), np.empty((4, 0), np.int32), (), (), np.ones(4, bool)
    )
    setup = Setup(
        seed=1,
        roles=np.zeros(rows, np.int8),
        positions=np.arange(rows),
        training=np.ones(rows, bool),
        binning=Binning.fit(values, np.arange(4), 4, 1, {}),
        codes=np.zeros((rows, 1), np.uint8),
    )
    for number in (0, config.rounds):
        kept = Growing.at_roots(setup, Splits.none(), number, config)
        assert decode(Growing, encode(kept)).nodes.shape == kept.nodes.shape


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


def test_a_party_hands_over_no_sides_in_a_run_that_does_without(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)), boosting={"sealed_sides": False})
    begun = Begun(run)
    assert begun.started.columns.read(Columns).pad_key is None
    keys = replace(begun.task.keys, pad=PadSecret.new().public_key)
    with pytest.raises(FederationError, match="not handed over in this run"):
        begun.ask(replace(begun.root, task=Letter.of(replace(begun.task, keys=keys))))


def test_nobody_hands_over_sides_that_no_other_party_needs(begun: Begun) -> None:
    assert begun.task.keys.pad is None
    assert begun.ask(begun.root).sides is None
    with pytest.raises(FederationError, match="there are no sides to hand over"):
        begun.ask(SidesRequest())


def test_sides_are_the_same_whenever_they_are_asked_for(tables: Path, federate: Callable) -> None:
    run = federate(tables, boosting={"trees": 1})
    exchange, again = run.federation.exchange, []
    ask = exchange.ask

    def watch(requests: dict, *rest: object) -> dict:
        replies = ask(requests, *rest)
        for party, reply in replies.items():
            if isinstance(reply, Grown) and reply.sides is not None:
                again.append((reply.sides, ask({party: SidesRequest()}, MODEL)[party].sides))
        return replies

    exchange.ask = watch
    trained(run)
    assert len(again) == 2
    for first, second in again:
        np.testing.assert_array_equal(first, second)
    with pytest.raises(FederationError, match="there are no sides to hand over"):
        ask({"tax": SidesRequest()}, MODEL)


def test_a_party_that_is_set_back_shows_nothing_else_under_the_same_pad(
    tables: Path, federate: Callable, send: Callable, tmp_path: Path
) -> None:
    run = federate(tables)
    state, exchange = Path(run.config.state, "tax"), run.federation.exchange
    split = assign_roles(run.federation, 1).split
    start = StartRequest(seed=1, split=split)

    def asked_again(request: object, step: int) -> object:
        """The answer of the party, to which the request is new, once it has been set back to before its answer."""
        backup = tmp_path / f"backup{step}"
        shutil.copytree(state, backup)
        first = exchange.ask({"tax": request}, MODEL)["tax"]
        after = state.rename(tmp_path / f"after{step}")
        shutil.copytree(backup, state)
        again = unpack(
            send(run.config, request, Envelope("s", MODEL, step), {"partition-id": 2}), type(first)
        )
        shutil.rmtree(state)
        after.rename(state)
        return first, again

    started, anew = asked_again(start, 1)
    keys = [one.columns.read(Columns).pad_key for one in (started, anew)]
    assert (keys[0] != keys[1]).any()

    columns = {"tax": started.columns, "supply": exchange.ask({"supply": start}, MODEL)["supply"].columns}
    demand = exchange.ask({"bank": BeginRequest(seed=1, split=split, columns=columns)}, MODEL)["bank"]
    grow = GrowRequest(task=demand.task, level=demand.levels["tax"], gradients=demand.gradients, sides=None)
    handed_over, again = asked_again(grow, 2)
    np.testing.assert_array_equal(handed_over.sides, again.sides)


def test_a_training_answers_with_demands_until_it_ends(tables: Path, federate: Callable) -> None:
    run = federate(tables, boosting={"trees": 3, "patience": 0})
    seen = watched(run, SplitRequest)
    trained(run)
    answers = [reply for _, reply in seen]
    assert [type(answer) for answer in answers] == [Demanded] * (len(answers) - 1) + [Ended]
    assert [answer.trees for answer in answers if answer.fit is not None] == [1, 2, 3]
    assert answers[-1].kept.keys() == {"supply", "tax"}
    for party in ("bank", "supply", "tax"):
        assert not model(run, party).has(PadSecret)


def test_one_letter_serves_all_passive_parties(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    seen = watched(run, GrowRequest)
    trained(run)
    for one, other in zip(seen[::2], seen[1::2], strict=True):
        assert one[0].task is other[0].task
        assert one[0].gradients is other[0].gradients


def test_the_coordinator_sees_no_side(tables: Path, federate: Callable) -> None:
    run = federate(tables, boosting={"trees": 6, "patience": 0})
    grown = watched(run, GrowRequest)
    trained(run)
    handed_over = [reply.sides for _, reply in grown if reply.sides is not None]
    relayed = [request.sides for request, _ in grown if request.sides is not None]
    assert len(handed_over) == 2
    assert len(relayed) > 6
    # Sides are rare in most bins; under a pad, half of all bits are set.
    for bits in (np.unpackbits(np.concatenate(told)) for told in (handed_over, relayed)):
        assert abs(bits.mean() - 0.5) < 5 * 0.5 / np.sqrt(bits.size)


def test_what_a_party_is_told_opens_sides_in_the_split_s_node_alone(tables: Path, federate: Callable) -> None:
    run = federate(tables, boosting={"trees": 6, "patience": 0})
    grown = watched(run, GrowRequest)
    trained(run)
    pads = [level.pad for request, _ in grown if (level := request.level.read(Level)).pad is not None]
    owners = [level.owners for request, _ in grown if (level := request.level.read(Level)).pad is not None]
    assert all((told == ANOTHER).any() for told in owners)
    # Below the root, a pad for one node of several has bits in that node only: fewer than half of all.
    partial = [
        np.unpackbits(pad).mean()
        for pad, told in zip(pads, owners, strict=True)
        if (told == ANOTHER).sum() < (told != NOBODY).sum()
    ]
    assert partial
    assert np.mean(partial) < 0.4


@pytest.mark.parametrize("sealed_sides", [True, False])
def test_parties_that_do_not_know_all_sides_get_no_gradients_before(
    tables: Path, federate: Callable, sealed_sides: bool
) -> None:
    run = federate(tables, boosting={"sealed_sides": sealed_sides})
    grown, summed = watched(run, GrowRequest), watched(run, SumRequest)
    trained(run)
    waiting = [request for request, reply in grown if reply.sums is None and request.task.read(Task).wanted]
    assert all(request.gradients is None for request in waiting)
    assert len(waiting) == len(summed)
    assert bool(summed) != sealed_sides


@pytest.mark.parametrize("defended", [True, False])
def test_finding_6_with_a_pad_key_of_its_own_the_coordinator_opens_no_sides(
    make_tables: Callable[..., Path],
    federate: Callable,
    send: Callable,
    monkeypatch: pytest.MonkeyPatch,
    defended: bool,
) -> None:
    if not defended:
        monkeypatch.setattr("clients.post.verify", lambda *_: None)
    run = federate(make_tables(("tax",)))
    begun, own = Begun(run), PadSecret.new()
    columns = begun.started.columns.read(Columns)  # the coordinator cannot open it: even so

    def written(record: object) -> Letter:
        """A letter that the coordinator writes in the bank's name."""
        kind = f"{type(record).__module__}.{type(record).__qualname__}"
        introduced = Store(Path(run.config.state, "tax", "s")).read(Partners).introductions["tax"]
        context = Context(
            study="s", model=MODEL, step=1, settings=run.config.digest, sender="bank", kind=kind
        )
        return seal(
            Letter.of(record), context, Identity.new(), {"tax": introduced.keys}, head=Head(), encrypted=True
        )

    keys = Keys(sums=plain.PlainOwner(Packing(1, ((0, 1),))).public_key(), pad=own.public_key)
    task = written(replace(begun.task, ahead=True, wanted=False, keys=keys))
    level = written(Level(owners=np.empty(0, np.int8), splits=Splits.none(), pad=None))
    request = GrowRequest(task=task, level=level, gradients=None, sides=None)
    reply = send(run.config, request, Envelope("s", MODEL, 2), {"partition-id": 1}, sealed=True)

    refused = refusal_in(reply)
    assert (refused is not None and "is not signed by it" in refused) == defended
    if not defended:
        use = PadUse(study="s", model=MODEL, keys={"bank": own.public_key, "tax": columns.pad_key})
        setup = read_setup(Session(run.config, Envelope("s", MODEL), *folders(run, "tax")))
        opened = unpack(reply, Grown).sides ^ own.pad(use, "tax", columns.shape.bins, len(setup.codes))
        np.testing.assert_array_equal(opened, sides(setup.codes, columns.shape.bins))


def folders(run, party: str) -> tuple[Path, Path]:
    """A party's data, and its state."""
    return Path(run.config.data, party), Path(run.config.state, party)


@pytest.mark.parametrize("defended", [True, False])
def test_finding_10_with_goss_about_as_many_rows_of_a_bin_count_as_without(
    make_tables: Callable[..., Path], federate: Callable, monkeypatch: pytest.MonkeyPatch, defended: bool
) -> None:
    if not defended:
        monkeypatch.setattr(BoostingConfig, "min_merged_count", property(lambda config: config.min_bin_count))
    counting, answer = [], plain.PlainResponder.sums

    def watch(
        self: plain.PlainResponder, encrypted: dict, offsets: np.ndarray, bins: np.ndarray, counts, wanted
    ):
        # The engine does not encrypt: a row that counts has a hessian, the second number.
        counts_of_rows = encrypted["rows"][:, 1] != 0
        for low, high in pairwise(offsets):
            for column, n in zip(bins.T, counts, strict=True):
                rows = np.bincount(column[low:high], minlength=n + 1)[:n]
                weigh = np.bincount(column[low:high], counts_of_rows[low:high], n + 1)[:n]
                counting.extend(weigh[rows > 0])
        return answer(self, encrypted, offsets, bins, counts, wanted)

    monkeypatch.setattr(plain.PlainResponder, "sums", watch)
    goss = {"goss_top": 0.2, "goss_other": 0.1, "min_bin_count": 9, "min_leaf_count": 30}
    trained(federate(make_tables(("tax",)), boosting=goss))
    # The first tree has no gradients to go by, so that all its rows count.
    assert (np.quantile(counting, 0.2) >= 5) == defended


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


class Sides:
    """What is known of sides in a training with two passive parties.

    matrices  by party: what it hands to the coordinator, and what is true, bool (m, n)
    relayed   bool (s, n): what is passed on of each split of another party, opened: with the pad that goes with it
    pads      bool (s, n): what the bank has of each pad before it keeps to the rows of the node
    truth     bool (s, n): where the split sends rows, and inside: which rows are in its node
    """

    def __init__(self, run, monkeypatch: pytest.MonkeyPatch) -> None:
        ask, inside, pads = run.federation.exchange.ask, [], []
        relayed, opened, truth, padded = [], [], [], {}

        def codes(party: str) -> tuple[np.ndarray, np.ndarray]:
            store = model(run, party)
            rows = np.flatnonzero(store.read(Start).roles != TEST)
            binning = store.read(Binning)
            return binning.transform(read_table(Store(store.folder.parent.parent)), rows), binning.bins

        def watch_ask(requests: dict, *rest: object) -> dict:
            replies = ask(requests, *rest)
            levels = {
                party: r.level.read(Level) for party, r in requests.items() if isinstance(r, GrowRequest)
            }
            for party, level in levels.items():
                if replies[party].sides is not None:
                    padded[party] = replies[party].sides
                if level.pad is not None:
                    (other,) = levels.keys() - {party}
                    relayed.append(requests[party].sides)
                    opened.append(requests[party].sides ^ level.pad)
                    truth.append(levels[other].splits.outcomes(codes(other)[0]))
            return replies

        def watch_within(bits: np.ndarray, nodes: np.ndarray, split: np.ndarray) -> np.ndarray:
            inside.append(nodes[0] == split[:, None])
            return within(bits, nodes, split)

        def watch_pads(bits: np.ndarray, nodes: np.ndarray, split: np.ndarray) -> np.ndarray:
            pads.append(bits)
            return within(bits, nodes, split)

        run.federation.exchange.ask = watch_ask
        monkeypatch.setattr(passive, "within", watch_within)
        monkeypatch.setattr(label_holder, "within", watch_pads)
        trained(run)
        self.truth, self.inside = np.concatenate(truth), np.concatenate(inside)
        rows = self.truth.shape[1]
        self.relayed, self.opened, self.pads = (
            unpacked(np.concatenate(bits), rows) for bits in (relayed, opened, pads)
        )
        self.matrices = {
            party: (unpacked(matrix, rows), unpacked(sides(*codes(party)), rows))
            for party, matrix in padded.items()
        }

    def agreement(self, bits: np.ndarray, where: np.ndarray) -> float:
        """How often bits of the splits are right: one half by chance."""
        return float((bits == self.truth)[where].mean())

    def repeated(self) -> bool:
        """Whether any two splits look the same on the way."""
        return len(np.unique(self.relayed, axis=0)) < len(self.relayed)


CHANCE = pytest.approx(0.5, abs=0.05)


@pytest.fixture
def known_sides(tables: Path, federate: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Sides]:
    """What is known in a training with few bins, so that cuts come again."""
    return lambda: Sides(federate(tables, boosting={"trees": 12, "patience": 0, "bins": 4}), monkeypatch)


def test_finding_1_the_coordinator_holds_no_side_and_a_party_those_of_a_split_s_node(
    known_sides: Callable[[], Sides],
) -> None:
    known = known_sides()
    assert min(known.inside.sum(), (~known.inside).sum()) > 500
    assert known.agreement(known.relayed, known.truth | True) == CHANCE
    for padded, true in known.matrices.values():
        assert (padded == true).mean() == CHANCE
        assert padded[true].mean() == CHANCE
    assert known.agreement(known.opened, known.inside) == 1
    assert known.agreement(known.opened, ~known.inside) == CHANCE
    # A pad that did not keep to the node would open all rows.
    assert known.agreement(known.relayed ^ known.pads, ~known.inside) == 1
    assert len(np.unique(known.truth, axis=0)) < len(known.truth), "some cuts are equal"
    assert not known.repeated()


def test_finding_1_without_pads_the_coordinator_holds_all_sides(
    known_sides: Callable[[], Sides], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(self: PadSecret, *use: object) -> np.ndarray:
        *_, bins, rows = use
        return np.zeros((int(bins.sum()) + 1, -(-rows // 8)), np.uint8)

    monkeypatch.setattr(PadSecret, "pad", nothing)
    for handed_over, true in known_sides().matrices.values():
        np.testing.assert_array_equal(handed_over, true)


def test_finding_1_without_masks_equal_cuts_look_the_same(
    known_sides: Callable[[], Sides], monkeypatch: pytest.MonkeyPatch
) -> None:
    for half in (label_holder, padding):
        monkeypatch.setattr(half, "mask", lambda seed, rows: np.zeros(-(-rows // 8), np.uint8))
    assert known_sides().repeated()
