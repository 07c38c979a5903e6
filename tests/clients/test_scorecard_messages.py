"""The scorecard's messages one by one: what each tells, and what a party refuses."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tenseal import sealapi

from clients.aligned import read_applications, read_table
from clients.data.declaration import read_declaration, write_declaration
from clients.post import Partners
from clients.scorecard.columns import LABEL_RANGES, residual_ranges
from clients.scorecard.label_holder import Exchanging, OwnerKey
from clients.scorecard.passive import Fit, Masking
from clients.store import Store
from fl.binning import UNKNOWN, Binning
from fl.config.scorecard import ScorecardConfig
from fl.encrypted_sums import new_owner, new_responder, wire
from fl.encrypted_sums.halves import Request as SumsRequest
from fl.encrypted_sums.lattice import convolution, form, layout
from fl.encrypted_sums.lattice.convolution import Total
from fl.encrypted_sums.lattice.form import Planes
from fl.encrypted_sums.lattice.products import Adder
from fl.encrypted_sums.lattice.seal import DEGREE, Lattice
from fl.encrypted_sums.packing import Packing
from fl.messages import Head, Letter, Request, declaration_of
from fl.records import decode
from fl.scorecard import (
    BeginRequest,
    BinnedColumns,
    CountRequest,
    EncryptedSums,
    Ended,
    FinishRequest,
    FitRequest,
    GradientRequest,
    Grouped,
    GroupRequest,
    Groups,
    Labels,
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
from fl.seals import Context, Identity, seal
from fl.splits import TRAIN, Split
from fl.wire import Envelope, refusal_in, unpack
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
        self.told = begun.labels.read(Labels)
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
    training = np.flatnonzero(begun.split.read(Split).roles == TRAIN)
    responder = new_responder("plain", len(training), ((-(1 << 24), 1 << 24),), {})
    sums = responder.unmask(opened, decode(Masking, party.last().state).mask)
    gradient = np.concatenate([part[0, :-1, 0] for part in sums]) / (1 << 24)
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
    run = federate(make_tables(("tax",)))
    exchange, split = run.federation.exchange, assign_roles(run.federation, 1).split
    started = exchange.ask({"tax": StartRequest(seed=1, split=split)}, MODEL)["tax"]
    columns = started.columns.read(BinnedColumns)
    counts = columns.counts.copy()
    counts[0] -= 1
    wrong = {"tax": Letter.of(replace(columns, counts=counts))}
    with pytest.raises(FederationError, match="must add up to"):
        exchange.ask_holder(BeginRequest(seed=1, split=split, columns=wrong), MODEL)


BANK = {"partition-id": 0}


def opening(begun: Begun, sums: Mapping[str, np.ndarray]) -> OpenRequest:
    return OpenRequest({"tax": Letter.of(EncryptedSums(sums))})


@pytest.mark.parametrize("defended", [True, False])
def test_finding_3_an_opening_that_was_refused_is_not_tried_again(
    begun: Begun, send: Callable, monkeypatch: pytest.MonkeyPatch, defended: bool
) -> None:
    if not defended:
        declared = declaration_of(OpenRequest)._replace(opens=False)
        monkeypatch.setattr(OpenRequest, "__declaration__", declared)
    masked, step = begun.fit(begun.group()), Envelope("s", MODEL, 3)
    sums = masked.sums.read(EncryptedSums).sums
    spoilt = opening(begun, sums | {"digest": np.zeros(32, np.uint8)})

    refused, again = (
        refusal_in(send(begun.run.config, request, step, BANK)) for request in (spoilt, opening(begun, sums))
    )

    assert "do not match their digest" in refused
    assert again == (
        "step 3 of s/federated-scorecard/1 was asked before, with another request" if defended else None
    )
    if defended:
        solve = SolveRequest({"tax": Letter.of(Step(scores=np.zeros(3), products=np.zeros(1)))})
        refused = refusal_in(send(begun.run.config, solve, Envelope("s", MODEL, 4), BANK))
        assert "nothing to go on from" in refused


def test_finding_3_labels_that_cannot_be_are_not_tried_again(begun: Begun, send: Callable) -> None:
    sums, step = begun.counted.sums.read(EncryptedSums).sums, Envelope("s", MODEL, 2)
    spoilt = {"tax": Letter.of(EncryptedSums(sums | {"digest": np.zeros(32, np.uint8)}))}
    refused, again = (
        refusal_in(send(begun.run.config, GroupRequest(counts), step, BANK))
        for counts in (spoilt, {"tax": begun.counted.sums})
    )

    assert "do not match their digest" in refused
    assert again == "step 2 of s/federated-scorecard/1 was asked before, with another request"


def test_finding_3_a_full_disk_burns_no_ticket(
    begun: Begun, send: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    request = OpenRequest({"tax": begun.fit(begun.group()).sums})
    with monkeypatch.context() as disk:
        disk.setattr(Store, "commit", full)
        assert "unexpected" in refusal_in(send(begun.run.config, request, Envelope("s", MODEL, 3), BANK))
    assert refusal_in(send(begun.run.config, request, Envelope("s", MODEL, 3), BANK)) is None


def test_finding_3_a_ticket_is_gone_once_it_has_served(begun: Begun) -> None:
    masked = begun.fit(begun.group())
    assert decode(Exchanging, model(begun.run, "bank").last().state).ticket
    begun.open(masked)
    assert not decode(Exchanging, model(begun.run, "bank").last().state).ticket


def test_a_party_that_is_set_back_masks_its_sums_anew(begun: Begun, send: Callable, tmp_path: Path) -> None:
    grouped, state = begun.group(), Path(begun.run.config.state, "tax")
    shutil.copytree(state, tmp_path / "backup")
    first = begun.fit(grouped).sums.read(EncryptedSums).sums["replies"]
    shutil.rmtree(state)
    (tmp_path / "backup").rename(state)

    request = FitRequest(groups=grouped.groups["tax"], residual=grouped.residual)
    record = send(begun.run.config, request, Envelope("s", MODEL, 3), {"partition-id": 1})

    again = unpack(record, Masked).sums.read(EncryptedSums).sums["replies"]
    assert (first != again).all()


class Deviating:
    """A passive party that has the bank open other numbers than sums, as many per coefficient as `each`."""

    def __init__(self, begun: Begun, each: int, spacing: int) -> None:
        self.begun, self.each, self.spacing = begun, each, spacing
        self.grouped = begun.group()
        begun.fit(self.grouped)
        self.residual = self.grouped.residual.read(Residual).encrypted
        self.counts = model(begun.run, "tax").read(Fit).grouping.counts + 1
        training = begun.split.read(Split).roles == TRAIN
        self.labels = read_applications(study(begun.run, "bank")).labels[training]
        config = begun.run.config.section(ScorecardConfig)
        self.packing = Packing(len(self.labels), residual_ranges(config))
        self.key = begun.told.residual_key
        self.control = Adder(self.packing, self.key).control
        self.lattice = Planes(self.packing).lattice

    def opened(self, numbers: Mapping[str, np.ndarray], made_in: Lattice) -> np.ndarray:
        """The coefficients that the bank opens, (m,): each holds `each` rows' numbers, one every `spacing` bits."""
        request = SumsRequest(self.residual, np.array([0, len(self.labels)]), self.counts)
        pieces, first = [], 0
        for reply in layout.replies_of(request):
            guarded = self.control.guard(self._total(numbers, made_in, first, reply.used), reply.used)
            pieces.append(form.to_bytes(self.control.shorten(guarded, reply.used)))
            first += reply.used
        fingerprint = wire.fingerprint({**self.packing.to_wire(), **self.key})
        context = fingerprint, wire.take_ticket(self.residual), self.counts, request.flags
        sums = wire.with_digest("masked sums", {"replies": np.concatenate(pieces)}, *context)
        opened = self.begun.ask(opening(self.begun, sums), "bank").sums["tax"].read(OpenedSums)
        return opened.sums["opened"][0]

    def _total(
        self, numbers: Mapping[str, np.ndarray], made_in: Lattice, first: int, used: int
    ) -> np.ndarray:
        width, total = int(numbers["width"][0]), None
        per_block = DEGREE // width
        for number, block in enumerate(form.cut(numbers, layout.blocks_of(len(self.labels), width))):
            rows = np.arange(number * per_block, min((number + 1) * per_block, len(self.labels)))
            place = rows // self.each - first
            here = (place >= 0) & (place < used)
            exponents = (place - width * (rows - number * per_block))[here]
            factors = 1 << (rows[here] % self.each * self.spacing)
            signed = np.where(exponents < 0, self.lattice.plain_modulus - factors, factors).astype(np.uint64)
            if not here.any():
                continue
            words = made_in.words(made_in.load(sealapi.Ciphertext(), block), 4 * DEGREE)
            product = self.lattice.ciphertext(*words.reshape(2, 2, DEGREE))
            self.lattice.evaluator.transform_to_ntt_inplace(product)
            mask = self.lattice.mask(exponents % DEGREE, signed)
            self.lattice.evaluator.multiply_plain_inplace(product, mask)
            if total is None:
                total = product
            else:
                self.lattice.evaluator.add_inplace(total, product)
        self.lattice.evaluator.transform_from_ntt_inplace(total)
        words, primes = self.lattice.words(total, 4 * DEGREE), 2 * self.lattice.primes
        made = Total(primes)
        made.add(convolution.of_residues(words.reshape(4, DEGREE)), 1)
        return made


@pytest.mark.parametrize("defended", [True, False])
def test_finding_3_encrypted_labels_are_not_opened_as_residuals(
    make_tables: Callable[..., Path], federate: Callable, monkeypatch: pytest.MonkeyPatch, defended: bool
) -> None:
    if not defended:
        # One key for labels and residuals, as the first edition had it.
        keys = lru_cache(lambda engine, rows, ranges: new_owner(engine, rows, ((-(1 << 24), 1 << 24),)))
        monkeypatch.setattr("clients.scorecard.label_holder.new_owner", lambda *of: keys(*of[:2], None))
        monkeypatch.setattr("clients.scorecard.passive.LABEL_RANGES", ((-(1 << 24), 1 << 24),))
    begun = Begun(federate(make_tables(("tax",)), scorecard={"encryption": "lattice"}))
    each = Planes(Packing(240, ((-(1 << 24), 1 << 24),))).lattice.plain_modulus.bit_length() - 1
    party = Deviating(begun, each, spacing=1)

    labels = Packing(240, LABEL_RANGES) if defended else party.packing
    opened = party.opened(begun.told.encrypted, Planes(labels).lattice)

    bits = (opened[:, None] >> np.arange(each, dtype=np.uint64)) & np.uint64(1)
    read = bits.ravel()[: len(party.labels)]
    right = (read == party.labels).mean()
    assert 0.3 < right < 0.7 if defended else right == 1.0


def test_finding_3_what_is_left_is_a_label_per_group_and_exchange(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    begun = Begun(federate(make_tables(("tax",)), scorecard={"encryption": "lattice"}))
    party = Deviating(begun, each=1, spacing=0)

    opened = party.opened(party.residual, party.lattice)

    # A residual is PD less label: negative where the label is 1.
    read = opened > np.uint64(party.lattice.plain_modulus // 2)
    assert len(read) == party.counts.sum()
    np.testing.assert_array_equal(read, party.labels[: len(read)] == 1)


@pytest.mark.parametrize("defended", [True, False])
def test_finding_3_the_coordinator_has_nothing_opened(
    begun: Begun, send: Callable, monkeypatch: pytest.MonkeyPatch, defended: bool
) -> None:
    if not defended:
        monkeypatch.setattr("clients.post.verify", lambda *_: None)
    sums = begun.fit(begun.group()).sums.read(EncryptedSums)
    bank = study(begun.run, "bank").read(Partners).introductions["bank"].keys
    context = Context(
        study="s",
        model=MODEL,
        step=9,
        settings=begun.run.config.digest,
        sender="tax",
        kind="fl.scorecard.EncryptedSums",
    )
    forged = seal(Letter.of(sums), context, Identity.new(), {"bank": bank}, head=Head(), encrypted=False)

    refused = refusal_in(
        send(begun.run.config, OpenRequest({"tax": forged}), Envelope("s", MODEL, 3), BANK, sealed=True)
    )

    assert (refused is not None and "is not signed by it" in refused) == defended
