"""What parties do with messages of the scorecard; that the model is right, the pooled twin shows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from clients.aligned import known_to_none, read_applications, read_coverage, read_table
from clients.data.declaration import read_declaration, write_declaration
from clients.parties.tax import TaxParty
from clients.scorecard import contribution, is_trained
from clients.scorecard.model import BankModel, Groupings, PassiveModel, ScoredRows
from clients.scores import Scores
from clients.store import Store
from experiments.baselines.scorecard import group_columns
from experiments.joined import read_joined
from fl.binning import Binning
from fl.config.scorecard import ScorecardConfig
from fl.messages import Letter
from fl.scorecard import Card, Points, ScoreRequest
from fl.scorecard.bank import BankColumns
from fl.scorecard.points import Scale
from fl.splits import TRAIN, VALIDATION, Split
from server.coordinator import assign_roles, train
from server.exchange import FederationError
from server.progress import Progress
from server.training import Training

MODEL = "federated-scorecard/1"


def trained(run, watch: Callable[[Progress], None] = lambda event: None):
    """Train under seed 1: the roles and the evaluation."""
    assigned = assign_roles(run.federation, 1)
    training = Training(
        contender="federated-scorecard", seed=1, assigned=assigned, config=run.config, on_progress=watch
    )
    return assigned.split.read(Split).roles, train(run.federation, training).evaluation


def model(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s", MODEL))


def study(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s"))


def meddle(run, change: Callable[[ScoreRequest], ScoreRequest]) -> None:
    """Let the bank get another last request than the parties' replies make."""
    ask = run.federation.exchange.ask

    def meddling(requests: dict, *rest: object):
        if isinstance(requests.get("bank"), ScoreRequest):
            requests = {"bank": change(requests["bank"])}
        return ask(requests, *rest)

    run.federation.exchange.ask = meddling


def trained_with_points(run) -> dict[str, Points]:
    """Train, and overhear what each passive party says of every position."""
    told = {}

    def overhear(request: ScoreRequest) -> ScoreRequest:
        told.update({party: letter.read(Points) for party, letter in request.points.items()})
        return request

    meddle(run, overhear)
    trained(run)
    return told


@pytest.fixture(scope="module")
def many(make_tables: Callable[..., Path]) -> Path:
    """A thousand applicants."""
    return make_tables(rows=1000)


def test_a_score_is_the_sum_of_the_parties_points(many: Path, federate: Callable) -> None:
    run = federate(many)
    told = trained_with_points(run)
    rows, bank = model(run, "bank").read(ScoredRows), model(run, "bank").read(BankModel)
    assert {party: points.shape for party, points in rows.points.items()} == dict.fromkeys(
        ("bank", "supply", "tax"), (1000,)
    )
    np.testing.assert_array_equal(rows.scores, rows.base + sum(rows.points.values()))
    for party in ("tax", "supply"):
        np.testing.assert_array_equal(told[party].points, rows.points[party])
    scale = Scale.of(run.config.section(ScorecardConfig))
    nobody = known_to_none(read_coverage(study(run, "bank")), 1000)
    base, alone = (scale.base(float(weights[0])) for weights in (bank.weights.joint, bank.weights.alone))
    assert (base != alone, 0 < nobody.sum() < 1000) == (True, True)
    np.testing.assert_array_equal(rows.base, np.where(nobody, alone, base))
    assert len(np.unique(rows.scores)) > 10


def test_reasons_of_a_thousand_applicants_fall_in_points_lost(many: Path, federate: Callable) -> None:
    run = federate(many)
    _, evaluation = trained(run)
    kept = model(run, "bank").read(ScoredRows)
    reasons, lost = kept.reasons, kept.lost
    assert reasons.shape == lost.shape == (1000, 4)
    assert (np.diff(lost, axis=1) <= 0).all()
    assert ((reasons == "") == (lost == 0)).all()
    named = reasons[reasons != ""]
    assert set(named) <= set(model(run, "bank").read(BankModel).codes)
    assert {code[:3] for code in named} == {"BAN", "SUP", "TAX"}
    columns = pd.DataFrame(dict(evaluation.tables["scorecard"])).set_index("code")
    groups = pd.DataFrame(dict(evaluation.tables["groups"]))
    alone = groups[groups["party"] == "bank"].groupby("code")["alone"]
    joint = pd.DataFrame({"span": columns["most"] - columns["least"], "most": columns["most"]})
    own = pd.DataFrame({"span": alone.max() - alone.min(), "most": alone.max()})
    nobody = known_to_none(read_coverage(study(run, "bank")), 1000)
    assert {code[:3] for code in reasons[nobody].ravel() if code} == {"BAN"}
    for rows, limits in ((nobody, own), (~nobody, joint)):
        named = reasons[rows] != ""
        assert (lost[rows][named] <= limits["span"][reasons[rows][named]]).all()
        # Who has the most points that there are has nothing to be told.
        to_most = kept.base[rows] + limits["most"].sum() - kept.scores[rows]
        assert (lost[rows][to_most == 0] == 0).all()
        assert (lost[rows].sum(axis=1) <= to_most).all()


def test_whom_no_party_knows_the_bank_scores_as_it_would_by_itself(many: Path, federate: Callable) -> None:
    run = federate(many)
    roles, _ = trained(run)
    config = run.config.section(ScorecardConfig)
    study_, kept = study(run, "bank"), model(run, "bank")
    joined = read_joined(run.config, "bank")
    nobody = known_to_none(read_coverage(study_), 1000)
    # The bank's own scorecard of the same columns, with those of who is known to whom.
    alone = LogisticRegression(C=config.c, tol=1e-8, max_iter=10_000)
    grouping = group_columns(joined, "bank", roles == TRAIN, config).evidence.grouping
    bank = BankColumns(grouping, kept.read(Groupings).columns.covered)
    codes = kept.read(Binning).transform(read_table(study_))
    groups = bank.transform(codes, read_coverage(study_))
    one_hot = np.concatenate(
        [own[:, None] == np.arange(n) for own, n in zip(groups.T, bank.whole.counts, strict=True)], 1
    )
    alone.fit(one_hot[roles == TRAIN], joined.labels[roles == TRAIN])
    odds = alone.decision_function(one_hot)[nobody]
    scale = Scale.of(config)
    np.testing.assert_allclose(
        kept.read(ScoredRows).scores[nobody], scale.offset - scale.factor * odds, atol=len(bank.whole.counts)
    )


def test_what_a_passive_party_lets_go_are_points_and_codes(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    told = trained_with_points(run)["tax"]
    known = read_coverage(study(run, "bank"))["tax"]
    assert (told.points[~known] == 0).all()
    assert (told.reasons[~known] == -1).all()
    assert told.lost.dtype == told.points.dtype == np.int32
    assert set(vars(model(run, "tax").read(PassiveModel))) == {"grouping", "table", "weights"}
    assert model(run, "tax").last().state == b""


def test_a_party_that_was_left_out_can_still_be_asked_for_its_points(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)), scorecard={"min_group": 90})
    assert trained_with_points(run) == {}
    party = model(run, "tax")
    assert is_trained(party)
    told = contribution(party, read_table(study(run, "tax")), run.config)
    assert told.points.tolist() == [0] * 400
    assert (told.reasons == -1).all()
    assert not told.lost.any()
    assert told.reasons.shape == told.lost.shape == (400, 4)


def test_a_party_keeps_its_points_table_and_publishes_its_bins_only_if_it_says_so(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    data = make_tables(("supply", "tax"))
    for party, publish in (("bank", False), ("supply", False), ("tax", True)):
        write_declaration(data / party, replace(read_declaration(data / party), publish_bins=publish))
    run = federate(data)
    _, evaluation = trained(run)
    told = pd.DataFrame(dict(evaluation.tables["groups"]))
    for party in ("bank", "supply", "tax"):
        kept = pd.read_csv(model(run, party).folder / "points.csv")
        own = told[told["party"] == party].reset_index(drop=True)
        assert kept["points"].tolist() == own["points"].tolist()
        np.testing.assert_array_equal(np.round(kept["applicants"], 2), own["applicants"])
        assert kept["values"].notna().all()
        assert kept.groupby("column", sort=False)["applicants"].sum().tolist() == pytest.approx(
            [1.0] * kept["column"].nunique()
        )
        # The party's own table has exact cuts, what it publishes rounded ones.
        assert (own["values"] != "").all() == (party == "tax")
        assert set(own["values"]) - set(kept["values"]) or party != "tax"


def test_declared_reasons_are_told_in_both_languages(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    data = make_tables(("tax",))
    declared = read_declaration(data / "tax")
    told = [
        replace(c, reason="Taxes paid late", reason_zh="逾期缴税") if c.name == "a" else c
        for c in declared.columns
    ]
    write_declaration(data / "tax", replace(declared, columns=tuple(told)))
    assert read_declaration(data / "tax").columns == tuple(told)
    run = federate(data)
    _, evaluation = trained(run)
    texts = pd.DataFrame(dict(evaluation.tables["reasons"])).set_index("code")
    assert texts.loc["TAX01"].tolist() == ["Taxes paid late", "逾期缴税"]
    assert texts.loc["TAX02", "text"] == "b"
    assert "No record of the business at tax" in set(texts["text"])


def test_calibrated_pds_meet_the_bad_rate_of_the_validation_rows(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    roles, _ = trained(run)
    labels = read_applications(study(run, "bank")).labels
    rows = roles == VALIDATION
    assert model(run, "bank").read(Scores).pd[rows].mean() == pytest.approx(labels[rows].mean(), abs=0.02)


def with_other(letters: dict, kind: type, name: str, change: Callable) -> dict:
    """The letters of the tax bureau, with another array in one field."""
    text = letters["tax"].read(kind)
    return {"tax": Letter.of(replace(text, **{name: change(getattr(text, name))}))}


UNFIT = {
    "points of other rows": (Points, "points", lambda array: array[:-1]),
    "points beyond reason": (Points, "points", lambda array: array + 10**7),
    "reasons that are no columns": (Points, "reasons", lambda array: array + 90),
    "more points than by the card": (Points, "points", lambda array: array + (array != 0)),
    "a card of other points": (Card, "points", lambda array: array + (array == array.max())),
    "three reasons": (Points, "reasons", lambda array: array[:, :3]),
    "points won": (Points, "lost", lambda array: array - 10**5),
    "other columns": (Card, "columns", lambda array: array + 1),
    "texts that are numbers": (Card, "reasons_zh", lambda array: np.zeros(len(array))),
    "an unknown stability": (Card, "stability", lambda array: array * np.nan),
}


@pytest.mark.parametrize(("kind", "name", "change"), UNFIT.values(), ids=UNFIT)
def test_the_bank_refuses_points_that_do_not_fit(
    make_tables: Callable[..., Path], federate: Callable, kind: type, name: str, change: Callable
) -> None:
    run = federate(make_tables(("tax",)), scorecard={"exchanges": 1})
    field = {Points: "points", Card: "cards"}[kind]
    meddle(run, lambda r: replace(r, **{field: with_other(getattr(r, field), kind, name, change)}))
    with pytest.raises(FederationError, match=r"Party bank refused .*: (?!it met an unexpected)"):
        trained(run)


def test_the_bank_refuses_points_for_a_business_that_the_party_does_not_know(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)), scorecard={"exchanges": 1})

    def to_everybody(points: np.ndarray) -> np.ndarray:
        return points + (~read_coverage(study(run, "bank"))["tax"]).astype(np.int32)

    meddle(run, lambda r: replace(r, points=with_other(r.points, Points, "points", to_everybody)))
    with pytest.raises(FederationError, match="must not give points or reasons to rows that it does not"):
        trained(run)


def test_the_bank_needs_the_card_of_every_party_that_has_points(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)), scorecard={"exchanges": 1})
    meddle(run, lambda r: replace(r, cards={}))
    with pytest.raises(FederationError, match="cards must be there for tax and for no other"):
        trained(run)


@pytest.mark.slow
def test_client_types_bring_their_reasons(generated: Path, federate: Callable) -> None:
    run = federate(generated, scorecard={"exchanges": 1, "min_group": 3})
    _, evaluation = trained(run)
    texts = dict(
        zip(evaluation.tables["reasons"]["code"], evaluation.tables["reasons"]["text_zh"], strict=True)
    )
    told = [text for code, text in texts.items() if code.startswith("TAX")]
    assert told
    assert set(told) <= {column.reason_zh for column in TaxParty.columns}
