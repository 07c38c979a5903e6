"""What a party refuses when it is asked to score."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from experiments.backends.inline import InlineGrid
from fl.boosting import Outcomes
from fl.config.run import RunConfig, ScoringConfig
from fl.messages import Letter
from fl.records import encode
from fl.scorecard import Points
from fl.scoring import AnswerRequest, ContributeRequest, Contributions, PrepareRequest
from server.alignment import align
from server.coordinator import assign_roles, train, train_reserve
from server.exchange import Exchange, FederationError
from server.progress import ignore
from server.roster import form_roster
from server.training import Training
from tests.open_letters import OpenLetters

GOOD = PrepareRequest(study="s", seed=1, models={"federated-boosting": "boosting/1"})
CARD = replace(GOOD, models={"federated-scorecard": "scorecard/1"})


class Asked:
    """A connected and trained federation in which a scoring run begins."""

    def __init__(self, run, applicants: Path) -> None:
        assigned = assign_roles(run.federation, 1)
        train_reserve(run.federation, assigned, 1, ignore)
        for contender in ("federated-boosting", "federated-scorecard"):
            training = Training(
                contender=contender, seed=1, assigned=assigned, config=run.config, on_progress=ignore
            )
            train(run.federation, training)
        applicants.write_text("business_id\n业00001\n业00002\n", "utf-8")
        common = {item.name: getattr(run.config, item.name) for item in fields(RunConfig)} | {"study": "new"}
        config = ScoringConfig(**common, model="s/federated-boosting/1", applicants=str(applicants))
        self.exchange = Exchange(InlineGrid(config, OpenLetters(config)), "new", 60)
        self.exchange.roster = form_roster(self.exchange.connect(config.parties, 1), [])

    def one(self, party: str, request: object):
        return self.exchange.ask({party: request}, "answers")[party]

    def prepare(self, request: PrepareRequest) -> None:
        """Ask both parties to prepare a model, and align."""
        for party in ("bank", "tax"):
            self.one(party, request)
        align(self.exchange, "left", scoring=True)


@pytest.fixture
def asked(make_tables: Callable[..., Path], federate: Callable, tmp_path: Path) -> Asked:
    return Asked(federate(make_tables(("tax",))), tmp_path / "new.csv")


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (replace(GOOD, study="../s"), "no valid name of a study or model"),
        (replace(GOOD, models={"..": "boosting/1"}), "no valid name of a study or model"),
        (replace(GOOD, seed=2), "does not keep the model s/federated-boosting/2"),
        (replace(GOOD, study="t"), "does not keep the model t/federated-boosting/1"),
        (replace(GOOD, models={"federated-boosting": "boosting/2"}), "there is no conversation 'boosting/2'"),
        (replace(GOOD, models={"federated-boosting": "os/1"}), "there is no conversation 'os/1'"),
        (
            replace(GOOD, models={"federated-boosting": "alignment/1"}),
            "cannot score by the conversation alignment/1",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("party", ["bank", "tax"])
def test_only_a_model_that_is_there_is_prepared(
    asked: Asked, party: str, request_: PrepareRequest, why: str
) -> None:
    with pytest.raises(FederationError, match=f"Party {party} refused .*{why}"):
        asked.one(party, request_)


def test_nothing_is_told_before_a_model_is_prepared(asked: Asked) -> None:
    for party, request in (("tax", ContributeRequest(("federated-boosting",))), ("bank", AnswerRequest({}))):
        with pytest.raises(FederationError, match="comes after prepare, and nothing has come"):
            asked.one(party, request)


def test_the_bank_alone_names_the_parties(asked: Asked) -> None:
    assert asked.one("tax", GOOD).parties == ()
    assert asked.one("bank", GOOD).parties == ("tax",)


def test_a_party_names_the_models_that_it_keeps_and_tells_of_no_other(asked: Asked) -> None:
    both = replace(GOOD, models=GOOD.models | CARD.models)
    with pytest.raises(FederationError, match="the bank scores by one model at a time, not by 2"):
        asked.one("bank", both)
    network = {"federated-network": "network/1"}
    assert asked.one("tax", replace(both, models=both.models | network)).models == tuple(both.models)
    with pytest.raises(FederationError, match="it has not prepared the model 'federated-network'"):
        asked.one("tax", ContributeRequest(tuple(network)))


def letter(contribution: object, model: str = "federated-boosting") -> Letter:
    return Letter.of(Contributions({model: encode(contribution)}))


RIGHT = letter(Outcomes(np.zeros((1, 1), np.uint8)))


@pytest.mark.parametrize(
    ("contributions", "why"),
    [
        ({"tax": RIGHT, "bank": RIGHT}, "party bank took no part in the alignment"),
        ({"tax": RIGHT, "x": RIGHT}, "a letter of x is needed"),
        ({"tax": Letter(b"")}, "a Contributions is not of its declared form"),
        ({"tax": letter(GOOD)}, "an? Outcomes is not of its declared form"),
        ({"tax": letter(Outcomes(np.zeros((90, 1), np.uint8)))}, "outcomes of tax must be"),
        ({"tax": letter(Outcomes(np.zeros((1, 1))))}, "outcomes of tax must be .* of uint8"),
    ],
    ids=str,
)
def test_an_answer_needs_the_contribution_of_every_party(
    asked: Asked, contributions: dict[str, Letter], why: str
) -> None:
    asked.prepare(GOOD)
    with pytest.raises(FederationError, match=f"Party bank refused .*{why}"):
        asked.one("bank", AnswerRequest(contributions))


POINTS = Points(
    points=np.zeros(2, np.int32), reasons=np.zeros((2, 4), np.int16), lost=np.ones((2, 4), np.int32)
)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (replace(POINTS, points=np.zeros(1, np.int32)), "points of tax must be 2 integers"),
        (replace(POINTS, points=np.full(2, 10**7)), "points of tax must lie between"),
        (replace(POINTS, reasons=np.full((2, 4), 4)), "reasons of tax must lie between -1 and 3"),
        (replace(POINTS, lost=np.full((2, 4), -1)), "lost of tax must lie between 0"),
        (replace(POINTS, lost=np.ones((2, 3), np.int32)), "lost of tax must be"),
        (Outcomes(np.zeros((1, 1), np.uint8)), "a Points is not of its declared form"),
        (POINTS, None),
    ],
    ids=str,
)
def test_the_bank_adds_up_only_what_can_be_points(asked: Asked, points: object, why: str | None) -> None:
    asked.prepare(CARD)
    answer = AnswerRequest({"tax": letter(points, "federated-scorecard")})
    if why is None:
        assert asked.one("bank", answer).applicants == 2
        return
    with pytest.raises(FederationError, match=f"Party bank refused .*{why}"):
        asked.one("bank", answer)
