"""What parties do with messages of the scorecard; that the model is right, the pooled twin shows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.aligned import read_applications, read_coverage
from clients.declaration import read_declaration, write_declaration
from clients.evaluation import SCORES
from clients.parties.tax import TaxParty
from clients.scorecard.scoring import SCORECARD
from clients.store import Store
from fl.scorecard import (
    Points,
    PointsRequest,
)
from fl.scorecard.points import Scale
from fl.splits import VALIDATION
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
    intercept = float(model(run, "bank").read("model")["weights"][0])
    assert int(kept["base"]) == Scale.of(run.config.scorecard).base(intercept)
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
    span = (columns["most"] - columns["least"])[named]
    assert (lost[reasons != ""] <= span).all()
    # Who has the most points that there are has nothing to be told.
    most = kept["base"] + columns["most"].sum()
    assert (lost[kept["score"] == most] == 0).all()
    assert (lost.sum(axis=1) <= most - kept["score"]).all()


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
    assert set(told) <= {chinese for _, chinese in TaxParty.reasons.values()}
