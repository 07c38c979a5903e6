"""How parties grow a forest; that the model is right, the pooled twin shows."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from clients.aligned import read_applications
from clients.binned import Setup
from clients.boosting.demands import Growing
from clients.forests import BankModel, PassiveModel
from clients.randomness import goss_generator
from clients.scores import Scores
from clients.store import Store
from fl.binning import Binning
from fl.boosting import (
    Demanded,
    Ended,
    Gradients,
    GrowRequest,
    SplitRequest,
)
from fl.boosting.forest import Splits
from fl.boosting.padding import PadSecret
from fl.config.boosting import BoostingConfig
from fl.encrypted_sums import plain
from fl.records import decode, encode
from fl.splits import VALIDATION
from fl.tables import Table
from tests.clients.boosting import model, trained, watched


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
