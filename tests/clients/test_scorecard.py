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
from fl.nesting import nested, of_party
from fl.scorecard import (
    BeginRequest,
    Begun,
    Counted,
    CountRequest,
    Finished,
    FinishRequest,
    GradientRequest,
    GroupRequest,
    Masked,
    Opened,
    OpenRequest,
    Points,
    PointsRequest,
    Solved,
    SolveRequest,
    Started,
    StartRequest,
    Stepped,
    StepRequest,
)
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


class Begun1:
    """A model as far as its first masked sums, for one passive party."""

    def __init__(self, run) -> None:
        self.ask = run.federation.exchange.ask
        self.run = run
        self.roles = assign_roles(run.federation, 1)
        self.started = self.one("start", StartRequest(1, self.roles), Started)
        begun = self.one("begin", self.begin_request(), Begun, "bank")
        self.counted = self.one("count", CountRequest(begun.public_key, begun.encrypted), Counted)

    def begin_request(self) -> BeginRequest:
        shapes = nested({"tax": self.started.shape}, ("tax",))
        return BeginRequest(1, self.roles, ("tax",), shapes, {"tax": self.started.counts})

    def one(self, action: str, request: object, reply: type, party: str = "tax", kind: str = "train"):
        return self.ask(f"{kind}.scorecard_{action}", {party: request}, reply, MODEL)[party]

    def group(self) -> Solved:
        sums = nested({"tax": self.counted.sums}, ("tax",))
        return self.one("group", GroupRequest(sums), Solved, "bank")

    def gradient(self, solved: Solved, groups: np.ndarray | None = None) -> Masked:
        groups = solved.groups["tax"] if groups is None else groups
        return self.one("gradient", GradientRequest(groups, solved.mix, solved.encrypted), Masked)

    def open(self, masked: Masked) -> Opened:
        return self.one("open_sums", OpenRequest(nested({"tax": masked.sums}, ("tax",))), Opened, "bank")


@pytest.fixture
def begun(make_tables: Callable[..., Path], federate: Callable) -> Begun1:
    return Begun1(federate(make_tables(("tax",))))


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


def counts_seen(run, begun: Begun1) -> tuple[np.ndarray, np.ndarray]:
    """Bads of each of the party's groups: as it works them out from the first gradient, and as they are."""
    from clients.binned import _setup
    from fl.binning import Shape
    from fl.encrypted_sums import new_responder
    from fl.scorecard.grouping import Grouping

    solved = begun.group()
    opened = begun.open(begun.gradient(solved))
    state = model(run, "tax").last().state
    mask = {name.removeprefix("mask/"): array for name, array in state.items() if name.startswith("mask/")}
    opened_sums = new_responder("plain", {}).unmask(of_party(opened.opened, 0), mask)
    gradient = np.concatenate([part[0, :-1, 0] for part in opened_sums]) / (1 << 24)
    setup = _setup(model(run, "tax").folder, study(run, "tax").folder)
    grouping = Grouping(Shape.from_arrays(begun.started.shape), solved.groups["tax"])
    groups = grouping.transform(setup.codes[setup.training])
    labels = read_applications(study(run, "bank")).labels[begun.roles == TRAIN]
    sizes, bads = [], []
    for own, count in zip(groups.T, grouping.counts, strict=True):
        known = own != 255
        sizes.append(np.bincount(own[known], minlength=count))
        bads.append(np.bincount(own[known], labels[known], minlength=count))
    # The gradient is the sum of PD less label; what the party does not know is the PD of its rows, all alike at best.
    return np.concatenate(sizes) * labels.mean() - gradient, np.concatenate(bads)


def test_the_first_gradient_tells_a_party_the_bads_of_its_groups(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    # The bank has a column that says nothing, so its PDs are one number and the party's counts come out exactly.
    data = make_tables(("tax",))
    declared = read_declaration(data / "bank")
    table = pd.read_csv(data / "bank" / "table.csv")
    table[["a", "b", "c"]], table["kind"] = 1.0, "coal"
    table.to_csv(data / "bank" / "table.csv", index=False)
    write_declaration(data / "bank", declared)
    run = federate(data, alignment="inner")
    worked_out, true = counts_seen(run, Begun1(run))
    np.testing.assert_allclose(worked_out, true, atol=1e-4)


def test_with_columns_of_the_bank_the_counts_are_estimates(begun: Begun1) -> None:
    worked_out, true = counts_seen(begun.run, begun)
    error = np.abs(worked_out - true)
    assert error.max() > 0.5
    assert np.corrcoef(worked_out, true)[0, 1] > 0.8


def test_no_group_has_fewer_goods_or_bads_than_the_settings_say(begun: Begun1) -> None:
    _, true = counts_seen(begun.run, begun)
    assert true.min() >= begun.run.config.scorecard.min_group


def test_the_bank_opens_nothing_but_random_numbers(begun: Begun1) -> None:
    masked = begun.gradient(begun.group())
    opened = begun.open(masked)
    sums = of_party(opened.opened, 0)["sums"]
    assert np.abs(sums.astype(np.float64)).min() > 2**40  # true sums are below 2^24 · 240


def test_a_model_is_started_once(begun: Begun1) -> None:
    with pytest.raises(FederationError, match="started once"):
        begun.one("start", StartRequest(1, begun.roles), Started)


def test_a_model_that_was_not_started_has_no_points(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)))
    with pytest.raises(FederationError, match="not been started"):
        run.federation.exchange.ask(
            "evaluate.scorecard_points", {"tax": PointsRequest()}, Points, "federated-scorecard/7"
        )


def test_sums_are_opened_before_new_ones_are_asked_for(begun: Begun1) -> None:
    solved = begun.group()
    begun.gradient(solved)
    with pytest.raises(FederationError, match="have not been opened"):
        begun.gradient(solved)


def test_a_step_needs_sums(begun: Begun1) -> None:
    with pytest.raises(FederationError, match="no sums to be opened"):
        begun.one("step", StepRequest({}), Stepped)


def test_an_unfinished_scorecard_has_no_points(begun: Begun1) -> None:
    with pytest.raises(FederationError, match="no step has been taken"):
        begun.one("finish", FinishRequest(), Finished)


def test_sums_of_other_rows_are_refused_at_the_party(begun: Begun1) -> None:
    masked = begun.gradient(begun.group())
    opened = of_party(begun.open(masked).opened, 0)
    wrong = opened | {"sums": opened["sums"] + 1}
    with pytest.raises(FederationError, match="do not match their seal"):
        begun.one("step", StepRequest(wrong), Stepped)


GROUPS = {
    "of another type": lambda groups: groups.astype(np.int64),
    "too few": lambda groups: groups[:-1],
    "with a gap": lambda groups: np.where(groups > 0, groups + 1, groups).astype(np.int16),
    "none": lambda groups: np.full_like(groups, -1),
}


@pytest.mark.parametrize("change", GROUPS.values(), ids=GROUPS)
def test_groups_that_do_not_fit_are_refused(begun: Begun1, change: Callable) -> None:
    solved = begun.group()
    with pytest.raises(FederationError, match=r"Party tax refused .*: (?!it met an unexpected)"):
        begun.gradient(solved, change(solved.groups["tax"]))


def test_coefficients_for_steps_that_were_not_taken_are_refused(begun: Begun1) -> None:
    solved = begun.group()
    with pytest.raises(FederationError, match="mix must be"):
        begun.gradient(replace(solved, mix=np.ones(2)))


def stepped(begun: Begun1) -> Stepped:
    opened = of_party(begun.open(begun.gradient(begun.group())).opened, 0)
    return begun.one("step", StepRequest(opened), Stepped)


WRONG = {
    "scores of another length": lambda s: replace(s, scores=s.scores[:-1]),
    "scores that are not finite": lambda s: replace(s, scores=s.scores * np.nan),
    "products of another length": lambda s: replace(s, products=np.ones(3)),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_the_bank_refuses_steps_that_do_not_fit(begun: Begun1, change: Callable) -> None:
    wrong = change(stepped(begun))
    request = SolveRequest({"tax": wrong.scores}, {"tax": wrong.products})
    with pytest.raises(FederationError, match=r"Party bank refused .*: (?!it met an unexpected)"):
        begun.one("solve", request, Solved, "bank")


def test_the_bank_refuses_counts_that_do_not_add_up(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)))
    roles = assign_roles(run.federation, 1)
    ask = run.federation.exchange.ask
    started = ask("train.scorecard_start", {"tax": StartRequest(1, roles)}, Started, MODEL)["tax"]
    counts = started.counts.copy()
    counts[0] -= 1
    shapes = nested({"tax": started.shape}, ("tax",))
    request = BeginRequest(1, roles, ("tax",), shapes, {"tax": counts})
    with pytest.raises(FederationError, match="must add up to"):
        ask("train.scorecard_begin", {"bank": request}, Begun, MODEL)


UNFIT = {
    "points of other rows": ("rows", "0/points", lambda array: array[:-1]),
    "points beyond reason": ("rows", "0/points", lambda array: array + 10**7),
    "reasons that are no columns": ("rows", "0/reasons", lambda array: array + 90),
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
