"""The scorecard's messages one by one: what each tells, and what a party refuses."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.aligned import read_applications, read_table
from clients.data.declaration import read_declaration, write_declaration
from clients.scorecard.label_holder import OwnerKey
from clients.scorecard.passive import Fit, Masking
from clients.store import Store
from fl.binning import UNKNOWN, Binning
from fl.config.scorecard import ScorecardConfig
from fl.encrypted_sums import new_responder
from fl.messages import Letter, Request
from fl.records import decode
from fl.scorecard import (
    BeginRequest,
    BinnedColumns,
    CountRequest,
    Ended,
    FinishRequest,
    FitRequest,
    GradientRequest,
    Grouped,
    GroupRequest,
    Groups,
    Masked,
    Opened,
    OpenedSums,
    OpenRequest,
    PointsRequest,
    Residual,
    ScoreRequest,
    SolveRequest,
    StartRequest,
    Step,
    Stepped,
    StepRequest,
)
from fl.splits import TRAIN, Split
from server.coordinator import assign_roles
from server.exchange import FederationError

MODEL = "federated-scorecard/1"


def model(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s", MODEL))


def study(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s"))


class Begun:
    """A model as far as its first masked sums, for one passive party."""

    def __init__(self, run) -> None:
        self.run = run
        self.split = assign_roles(run.federation, 1).split
        self.started = self.ask(StartRequest(seed=1, split=self.split))
        begun = self.ask(self.begin_request(self.started.columns), "bank")
        self.counted = self.ask(CountRequest(begun.labels))

    def ask(self, request: Request, party: str = "tax"):
        return self.run.federation.exchange.ask({party: request}, MODEL)[party]

    def begin_request(self, columns: Letter[BinnedColumns]) -> BeginRequest:
        return BeginRequest(seed=1, split=self.split, columns={"tax": columns})

    def group(self) -> Grouped | Ended:
        return self.ask(GroupRequest({"tax": self.counted.sums}), "bank")

    def fit(self, grouped: Grouped, groups: np.ndarray | None = None) -> Masked:
        letter = grouped.groups["tax"] if groups is None else Letter.of(Groups(groups))
        return self.ask(FitRequest(groups=letter, residual=grouped.residual))

    def open(self, masked: Masked) -> Opened:
        return self.ask(OpenRequest({"tax": masked.sums}), "bank")

    def step(self, grouped: Grouped) -> Stepped:
        return self.ask(StepRequest(self.open(self.fit(grouped)).sums["tax"]))


@pytest.fixture
def begun(make_tables: Callable[..., Path], federate: Callable) -> Begun:
    return Begun(federate(make_tables(("tax",))))


def counts_seen(begun: Begun) -> tuple[np.ndarray, np.ndarray]:
    """Bads of each of the party's groups: as it works them out from the first gradient, and as they are."""
    opened = begun.open(begun.fit(begun.group())).sums["tax"].read(OpenedSums).sums
    party = model(begun.run, "tax")
    sums = new_responder("plain", {}).unmask(opened, decode(Masking, party.last().state).mask)
    gradient = np.concatenate([part[0, :-1, 0] for part in sums]) / (1 << 24)
    training = np.flatnonzero(begun.split.read(Split).roles == TRAIN)
    grouping = party.read(Fit).grouping
    codes = party.read(Binning).transform(read_table(study(begun.run, "tax")), training)
    labels = read_applications(study(begun.run, "bank")).labels[training]
    sizes, bads = [], []
    for column, count in zip(grouping.transform(codes).T, grouping.counts, strict=True):
        known = column != UNKNOWN
        sizes.append(np.bincount(column[known], minlength=count))
        bads.append(np.bincount(column[known], labels[known], minlength=count))
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
    worked_out, true = counts_seen(Begun(run))
    np.testing.assert_allclose(worked_out, true, atol=1e-4)


def test_with_columns_of_the_bank_the_counts_are_estimates(begun: Begun) -> None:
    worked_out, true = counts_seen(begun)
    error = np.abs(worked_out - true)
    assert error.max() > 0.5
    assert np.corrcoef(worked_out, true)[0, 1] > 0.8


def test_no_group_has_fewer_goods_or_bads_than_the_settings_say(begun: Begun) -> None:
    _, true = counts_seen(begun)
    assert true.min() >= begun.run.config.section(ScorecardConfig).min_group


def test_the_bank_opens_nothing_but_random_numbers(begun: Begun) -> None:
    opened = begun.open(begun.fit(begun.group()))
    sums = opened.sums["tax"].read(OpenedSums).sums["opened"]
    assert np.abs(sums.astype(np.float64)).min() > 2**40  # true sums are below 2^24 · 240


def refused(begun: Begun, request: Request, why: str, party: str = "tax") -> None:
    with pytest.raises(FederationError, match=why):
        begun.ask(request, party)


def test_a_model_is_started_once(begun: Begun) -> None:
    refused(begun, StartRequest(seed=1, split=begun.split), "start comes first, and the last was count")


def test_a_model_that_was_not_started_has_no_points(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)))
    with pytest.raises(FederationError, match="points comes after finish, and nothing has come"):
        run.federation.exchange.ask_each(PointsRequest(), "federated-scorecard/7")


def test_sums_are_opened_before_new_ones_are_asked_for(begun: Begun) -> None:
    grouped = begun.group()
    begun.fit(grouped)
    refused(begun, GradientRequest(grouped.residual), "gradient comes after step, and the last was fit")


def test_groups_are_told_once(begun: Begun) -> None:
    grouped = begun.group()
    begun.step(grouped)
    again = FitRequest(groups=grouped.groups["tax"], residual=grouped.residual)
    refused(begun, again, "fit comes after count, and the last was step")


def test_a_step_needs_sums(begun: Begun) -> None:
    refused(begun, StepRequest(Letter.of(OpenedSums({}))), "step comes after fit or gradient")


def test_an_unfinished_scorecard_has_no_points(begun: Begun) -> None:
    refused(begun, FinishRequest(), "finish comes after step, and the last was count")


def test_the_bank_opens_masked_sums_once(begun: Begun) -> None:
    masked = begun.fit(begun.group())
    begun.open(masked)
    refused(begun, OpenRequest({"tax": masked.sums}), "open_sums comes after group or solve", "bank")


def test_no_score_comes_before_the_end(begun: Begun) -> None:
    begun.group()
    refused(begun, ScoreRequest(cards={}, points={}), "is not of its declared form", "bank")


@pytest.fixture
def ended(make_tables: Callable[..., Path], federate: Callable) -> Begun:
    """A model none of whose passive columns is worth its place."""
    return Begun(federate(make_tables(("tax",)), scorecard={"min_group": 90}))


def test_without_a_column_worth_its_place_grouping_ends_the_training(ended: Begun) -> None:
    reply = ended.group()
    assert isinstance(reply, Ended)
    assert reply.progress.exchanges == 0
    assert 0 < reply.progress.validation_auc < 1
    assert not model(ended.run, "bank").has(OwnerKey)


def test_when_training_has_ended_nothing_is_decrypted_any_more(ended: Begun) -> None:
    ended.group()
    refused(ended, OpenRequest({"tax": ended.counted.sums}), "is not of its declared form", "bank")


def test_the_last_exchange_ends_the_training(make_tables: Callable[..., Path], federate: Callable) -> None:
    begun = Begun(federate(make_tables(("tax",)), scorecard={"exchanges": 1}))
    reply = begun.ask(SolveRequest({"tax": begun.step(begun.group()).step}), "bank")
    assert isinstance(reply, Ended)
    assert reply.progress.exchanges == 1
    assert not model(begun.run, "bank").has(OwnerKey)


def test_sums_of_other_rows_are_refused_at_the_party(begun: Begun) -> None:
    opened = begun.open(begun.fit(begun.group())).sums["tax"].read(OpenedSums).sums
    wrong = opened | {"opened": opened["opened"] + 1}
    refused(begun, StepRequest(Letter.of(OpenedSums(wrong))), "do not match their digest")


GROUPS = {
    "of another type": lambda groups: groups.astype(np.int64),
    "too few": lambda groups: groups[:-1],
    "with a gap": lambda groups: np.where(groups > 0, groups + 1, groups).astype(np.int16),
    "none": lambda groups: np.full_like(groups, -1),
}


@pytest.mark.parametrize("change", GROUPS.values(), ids=GROUPS)
def test_groups_that_do_not_fit_are_refused(begun: Begun, change: Callable) -> None:
    grouped = begun.group()
    with pytest.raises(FederationError, match=r"Party tax refused .*: (?!it met an unexpected)"):
        begun.fit(grouped, change(grouped.groups["tax"].read(Groups).groups))


def test_coefficients_for_steps_that_were_not_taken_are_refused(begun: Begun) -> None:
    grouped = begun.group()
    wrong = replace(grouped.residual.read(Residual), mix=np.ones(2))
    with pytest.raises(FederationError, match="mix must be"):
        begun.fit(replace(grouped, residual=Letter.of(wrong)))


WRONG = {
    "scores of another length": lambda s: replace(s, scores=s.scores[:-1]),
    "scores that are not finite": lambda s: replace(s, scores=s.scores * np.nan),
    "products of another length": lambda s: replace(s, products=np.ones(3)),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_the_bank_refuses_steps_that_do_not_fit(begun: Begun, change: Callable) -> None:
    wrong = change(begun.step(begun.group()).step.read(Step))
    refused(
        begun,
        SolveRequest({"tax": Letter.of(wrong)}),
        r"Party bank refused .*: (?!it met an unexpected)",
        "bank",
    )


def test_the_bank_needs_the_step_of_every_party(begun: Begun) -> None:
    begun.step(begun.group())
    refused(begun, SolveRequest({}), "steps must be there for tax and for no other", "bank")


def test_the_bank_refuses_counts_that_do_not_add_up(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    begun = Begun(federate(make_tables(("tax",))))
    columns = begun.started.columns.read(BinnedColumns)
    counts = columns.counts.copy()
    counts[0] -= 1
    request = begun.begin_request(Letter.of(replace(columns, counts=counts)))
    with pytest.raises(FederationError, match="must add up to"):
        begun.run.federation.exchange.ask_holder(request, "another-scorecard/1")
