"""What parties do with messages of the scorecard; that the model is right, the pooled twin shows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from clients.aligned import known_to_none, read_applications, read_coverage, read_table
from clients.binned import read_binning
from clients.data.declaration import read_declaration, write_declaration
from clients.evaluation import SCORES
from clients.parties.tax import TaxParty
from clients.scorecard.model import SCORECARD
from clients.store import Store
from experiments.baselines.scorecard import group_columns
from experiments.joined import read_joined
from fl.scorecard import (
    Points,
    PointsRequest,
)
from fl.scorecard.bank import BankColumns
from fl.scorecard.points import Scale
from fl.splits import TRAIN, VALIDATION
from server.coordinator import assign_roles, train
from server.exchange import FederationError
from server.progress import Progress
from server.training import Training

MODEL = "federated-scorecard/1"


def trained(run, watch: Callable[[Progress], None] = lambda event: None):
    """Train under seed 1: the roles and the evaluation."""
    roles = assign_roles(run.federation, 1)
    return roles, train(
        run.federation, Training("federated-scorecard", 1, roles, run.config, watch)
    ).evaluation


def model(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s", MODEL))


def study(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s"))


@pytest.fixture(scope="module")
def many(make_tables: Callable[..., Path]) -> Path:
    """A thousand applicants."""
    return make_tables(rows=1000)


def test_a_score_is_the_sum_of_the_parties_points(many: Path, federate: Callable) -> None:
    run = federate(many)
    trained(run)
    kept = model(run, "bank").read(SCORECARD)
    assert kept["points"].shape == (1000, 3)
    np.testing.assert_array_equal(kept["score"], kept["base"] + kept["points"].sum(axis=1))
    for place, party in enumerate(kept["parties"]):
        if party != "bank":
            ask = {str(party): PointsRequest()}
            own = run.federation.exchange.ask("evaluate.scorecard_points", ask, Points, MODEL)[str(party)]
            np.testing.assert_array_equal(own.points, kept["points"][:, place])
    weights, scale = model(run, "bank").read("model"), Scale.of(run.config.scorecard)
    nobody = known_to_none(read_coverage(study(run, "bank")), 1000)
    base, alone = (scale.base(float(weights[name][0])) for name in ("weights", "alone"))
    assert (base != alone, 0 < nobody.sum() < 1000) == (True, True)
    np.testing.assert_array_equal(kept["base"], np.where(nobody, alone, base))
    assert len(np.unique(kept["score"])) > 10


def test_reasons_of_a_thousand_applicants_fall_in_points_lost(many: Path, federate: Callable) -> None:
    run = federate(many)
    _, evaluation = trained(run)
    kept = model(run, "bank").read(SCORECARD)
    reasons, lost = kept["reasons"], kept["lost"]
    assert reasons.shape == lost.shape == (1000, 4)
    assert (np.diff(lost, axis=1) <= 0).all()
    assert ((reasons == "") == (lost == 0)).all()
    named = reasons[reasons != ""]
    assert set(named) <= set(kept["code"])
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
        to_most = kept["base"][rows] + limits["most"].sum() - kept["score"][rows]
        assert (lost[rows][to_most == 0] == 0).all()
        assert (lost[rows].sum(axis=1) <= to_most).all()


def test_whom_no_party_knows_the_bank_scores_as_it_would_by_itself(many: Path, federate: Callable) -> None:
    run = federate(many)
    roles, _ = trained(run)
    study_, kept = study(run, "bank"), model(run, "bank")
    joined = read_joined(run.config, "bank")
    nobody = known_to_none(read_coverage(study_), 1000)
    # The bank's own scorecard of the same columns, with those of who is known to whom.
    alone = LogisticRegression(C=run.config.scorecard.c, tol=1e-8, max_iter=10_000)
    found = group_columns(joined, "bank", roles == TRAIN, run.config.scorecard).evidence.grouping
    bank = BankColumns(found, kept.read("evidence")["covered"])
    codes = read_binning(kept).transform(read_table(study_))
    groups = bank.transform(codes, list(read_coverage(study_).values()))
    one_hot = np.concatenate(
        [own[:, None] == np.arange(n) for own, n in zip(groups.T, bank.counts, strict=True)], 1
    )
    alone.fit(one_hot[roles == TRAIN], joined.labels[roles == TRAIN])
    odds = alone.decision_function(one_hot)[nobody]
    scale = Scale.of(run.config.scorecard)
    np.testing.assert_allclose(
        kept.read(SCORECARD)["score"][nobody], scale.offset - scale.factor * odds, atol=len(bank.counts)
    )


def test_what_a_passive_party_lets_go_are_points_and_codes(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    trained(run)
    own = run.federation.exchange.ask("evaluate.scorecard_points", {"tax": PointsRequest()}, Points, MODEL)
    known = read_coverage(study(run, "bank"))["tax"]
    assert (own["tax"].points[~known] == 0).all()
    assert (own["tax"].reasons[~known] == -1).all()
    assert own["tax"].lost.dtype == own["tax"].points.dtype == np.int32
    assert set(model(run, "tax").read("model")) == {"weights", "columns", "counts", "points"}
    assert dict(model(run, "tax").last().state) == {}


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
    assert "Not known to tax" in set(texts["text"])


def test_calibrated_pds_meet_the_bad_rate_of_the_validation_rows(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    roles, _ = trained(run)
    labels = read_applications(study(run, "bank")).labels
    rows = roles == VALIDATION
    assert model(run, "bank").read(SCORES)["pd"][rows].mean() == pytest.approx(labels[rows].mean(), abs=0.02)


UNFIT = {
    "points of other rows": ("rows", "0/points", lambda array: array[:-1]),
    "points beyond reason": ("rows", "0/points", lambda array: array + 10**7),
    "reasons that are no columns": ("rows", "0/reasons", lambda array: array + 90),
    "more points than by the card": ("rows", "0/points", lambda array: array + (array != 0)),
    "a card of other points": ("columns", "0/points", lambda array: array + (array == array.max())),
    "three reasons": ("rows", "0/reasons", lambda array: array[:, :3]),
    "points won": ("rows", "0/lost", lambda array: array - 10**5),
    "other columns": ("columns", "0/columns", lambda array: array + 1),
    "texts that are numbers": ("columns", "0/reasons_zh", lambda array: np.zeros(len(array))),
    "an unknown stability": ("columns", "0/stability", lambda array: array * np.nan),
}


@pytest.mark.parametrize(("field", "name", "change"), UNFIT.values(), ids=UNFIT)
def test_the_bank_refuses_points_that_do_not_fit(
    make_tables: Callable[..., Path], federate: Callable, field: str, name: str, change: Callable
) -> None:
    run = federate(make_tables(("tax",)), scorecard={"exchanges": 1})
    ask = run.federation.exchange.ask

    def meddle(action: str, requests: dict, *rest: object):
        if action == "evaluate.scorecard_score":
            arrays = dict(getattr(requests["bank"], field))
            arrays[name] = change(arrays[name])
            requests = {"bank": replace(requests["bank"], **{field: arrays})}
        return ask(action, requests, *rest)

    run.federation.exchange.ask = meddle
    with pytest.raises(FederationError, match=r"Party bank refused .*: (?!it met an unexpected)"):
        trained(run)


def test_the_bank_refuses_points_for_a_business_that_the_party_does_not_know(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)), scorecard={"exchanges": 1})
    ask = run.federation.exchange.ask

    def meddle(action: str, requests: dict, *rest: object):
        if action == "evaluate.scorecard_score":
            unknown = ~read_coverage(study(run, "bank"))["tax"]
            rows = dict(requests["bank"].rows)
            rows["0/points"] = rows["0/points"] + unknown.astype(np.int32)
            requests = {"bank": replace(requests["bank"], rows=rows)}
        return ask(action, requests, *rest)

    run.federation.exchange.ask = meddle
    with pytest.raises(FederationError, match="must not give points or reasons to rows that it does not"):
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
