"""The scorecard's messages one by one: what each tells, and what a party refuses."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.aligned import read_applications
from clients.data.declaration import read_declaration, write_declaration
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
from fl.splits import TRAIN
from server.coordinator import assign_roles
from server.exchange import FederationError

MODEL = "federated-scorecard/1"


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
