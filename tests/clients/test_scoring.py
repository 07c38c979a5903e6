"""What a party refuses when it is asked to score."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.backends.inline import InlineGrid
from fl.config.run import RunConfig
from fl.scoring import (
    Answered,
    AnswerRequest,
    ContributeRequest,
    Contribution,
    Prepared,
    PrepareRequest,
)
from server.alignment import align
from server.coordinator import assign_roles, train
from server.exchange import Exchange, FederationError
from server.progress import ignore
from server.training import Training

GOOD = PrepareRequest("s", "federated-boosting", 1, "boosting/1")


class Asked:
    """A connected and trained federation in which a scoring run begins."""

    def __init__(self, run, applicants: Path) -> None:
        roles = assign_roles(run.federation, 1)
        for contender in ("federated-boosting", "federated-scorecard"):
            train(run.federation, Training(contender, 1, roles, run.config, ignore))
        applicants.write_text("business_id\n业00001\n业00002\n", "utf-8")
        self.config: RunConfig = replace(
            run.config, model="s/federated-boosting/1", applicants=str(applicants), study="new"
        )
        self.exchange = Exchange(InlineGrid(self.config), "new", 60)
        self.exchange.connect(2, 1)
        self.roster = run.federation.roster

    def one(self, party: str, action: str, request: object, reply: type):
        return self.exchange.ask(action, {party: request}, reply, "answers")[party]


@pytest.fixture
def asked(make_tables: Callable[..., Path], federate: Callable, tmp_path: Path) -> Asked:
    return Asked(federate(make_tables(("tax",))), tmp_path / "new.csv")


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (replace(GOOD, study="../s"), "no valid name of a study or model"),
        (replace(GOOD, contender=".."), "no valid name of a study or model"),
        (replace(GOOD, seed=2), "does not keep the model s/federated-boosting/2"),
        (replace(GOOD, study="t"), "does not keep the model t/federated-boosting/1"),
        (replace(GOOD, protocol="boosting/2"), "cannot score by the protocol boosting/2"),
        (replace(GOOD, protocol="alignment/1"), "cannot score by the protocol alignment/1"),
        (replace(GOOD, protocol="os/1"), "cannot score by the protocol os/1"),
    ],
)
@pytest.mark.parametrize("party", ["bank", "tax"])
def test_only_a_model_that_is_there_is_prepared(
    asked: Asked, party: str, request_: PrepareRequest, why: str
) -> None:
    with pytest.raises(FederationError, match=f"Party {party} refused .*{why}"):
        asked.one(party, "train.scoring_prepare", request_, Prepared)


def test_nothing_is_told_before_a_model_is_prepared(asked: Asked) -> None:
    with pytest.raises(FederationError, match="no model has been prepared"):
        asked.one("tax", "evaluate.scoring_contribute", ContributeRequest(), Contribution)
    with pytest.raises(FederationError, match="no model has been prepared"):
        asked.one("bank", "evaluate.scoring_answer", AnswerRequest((), {}), Answered)


def test_the_bank_alone_names_the_parties(asked: Asked) -> None:
    assert asked.one("tax", "train.scoring_prepare", GOOD, Prepared).parties == ()
    assert asked.one("bank", "train.scoring_prepare", GOOD, Prepared).parties == ("tax",)


@pytest.mark.parametrize(
    ("parties", "contributions", "why"),
    [
        (("tax", "x"), {}, "party x took no part in the alignment"),
        (("tax",), {}, "contribution of tax must be there for outcomes"),
        (("tax",), {"0/outcomes": np.zeros((9, 1), np.uint8)}, "outcomes of tax must be"),
        (("tax",), {"0/outcomes": np.zeros((1, 1))}, "outcomes of tax must be .* of uint8"),
    ],
)
def test_an_answer_needs_the_contribution_of_every_party(
    asked: Asked, parties: tuple[str, ...], contributions: dict, why: str
) -> None:
    for party in ("bank", "tax"):
        asked.one(party, "train.scoring_prepare", GOOD, Prepared)
    align(asked.exchange, asked.roster, "left", scoring=True)
    with pytest.raises(FederationError, match=f"Party bank refused .*{why}"):
        asked.one("bank", "evaluate.scoring_answer", AnswerRequest(parties, contributions), Answered)


POINTS = {
    "0/points": np.zeros(2, np.int32),
    "0/reasons": np.zeros((2, 4), np.int16),
    "0/lost": np.ones((2, 4), np.int32),
}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"0/points": np.zeros(1, np.int32)}, "points of tax must be 2 integers"),
        ({"0/points": np.full(2, 10**7)}, "points of tax must lie between"),
        ({"0/reasons": np.full((2, 4), 4)}, "reasons of tax must lie between -1 and 3"),
        ({"0/lost": np.full((2, 4), -1)}, "lost of tax must lie between 0"),
        ({"0/lost": np.ones((2, 3), np.int32)}, "lost of tax must be"),
        ({"0/value": np.zeros(2)}, "rows of tax must be there for lost, points, reasons"),
        ({}, None),
    ],
)
def test_the_bank_adds_up_only_what_can_be_points(asked: Asked, changed: dict, why: str | None) -> None:
    request = replace(GOOD, contender="federated-scorecard", protocol="scorecard/1")
    for party in ("bank", "tax"):
        asked.one(party, "train.scoring_prepare", request, Prepared)
    align(asked.exchange, asked.roster, "left", scoring=True)
    answer = AnswerRequest(("tax",), POINTS | changed)
    if why is None:
        assert asked.one("bank", "evaluate.scoring_answer", answer, Answered).applicants == 2
        return
    with pytest.raises(FederationError, match=f"Party bank refused .*{why}"):
        asked.one("bank", "evaluate.scoring_answer", answer, Answered)
