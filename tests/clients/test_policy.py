"""What a party's policy allows, when it binds, and what a refused run hears."""

import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flwr.app import RecordDict

from clients.data.declaration import read_declaration, write_declaration
from clients.data.errors import DataError
from clients.policy import DEFAULTS, Asked, Policy, PolicyError, forms_of
from clients.session import POLICY, Session
from clients.store import Commit, Store
from fl.alignment import MeetRequest
from fl.boosting import SidesRequest
from fl.config.run import RunConfig, ScoringConfig, TrainingConfig, read_config, sections
from fl.handshake import DescribeRequest, Description
from fl.protocols import CONVERSATIONS, federated_contenders
from fl.wire import Envelope, refusal_in, unpack
from server.coordinator import assign_roles, train, train_reserve
from server.exchange import FederationError
from server.progress import ignore
from server.training import Training

Send = Callable[..., RecordDict]
FORMS = {"ciphertext", "padded", "aggregate", "per row"}
BOOSTING, NETWORK, SCORECARD = "federated-boosting", "federated-network", "federated-scorecard"
BANKS = "banks-boosting"


@pytest.fixture
def data(tables: Path, tmp_path: Path) -> Path:
    """A dataset of this test's own: the parties bank and tax."""
    folder = tmp_path / "data"
    for party in ("bank", "tax"):
        shutil.copytree(tables / party, folder / party, ignore=shutil.ignore_patterns("state"))
    return folder


def allow(folder: Path, **rules: Any) -> None:
    """Write a party's policy."""
    write_declaration(folder, replace(read_declaration(folder), policy=Policy(**rules)))


def trained(data: Path, contender: str = BOOSTING, **settings: Any) -> TrainingConfig:
    config = TrainingConfig(data=str(data), parties=("bank", "tax"), contenders=(contender,), study="s")
    return replace(config, **settings)


def with_setting(config: TrainingConfig, setting: str, value: Any) -> TrainingConfig:
    settings = read_config({**config.to_mapping(), setting: value})
    assert isinstance(settings, TrainingConfig)
    return settings


# Rule, what it allows; contender, setting, the last value that keeps it and the first that breaks it; what is heard.
RULES = [
    ("encryption", ("lattice", "paillier"), BOOSTING, "boosting.encryption", "paillier", "plain"),
    ("encryption", ("lattice",), SCORECARD, "scorecard.encryption", "lattice", "paillier"),
    ("defences", ("gaussian", "max-norm"), NETWORK, "network.defence", "max-norm", "none"),
    ("least_noise", 4.0, NETWORK, "network.noise", 4.0, 3.999),
    ("least_batch", 128, NETWORK, "network.batch-size", 128, 127),
    ("least_group", 20, SCORECARD, "scorecard.min-group", 20, 19),
    ("least_bin_count", 10, BOOSTING, "boosting.min-bin-count", 10, 9),
    ("least_leaf_count", 40, BOOSTING, "boosting.min-leaf-count", 40, 39),
    ("most_bins", 16, BOOSTING, "boosting.bins", 16, 17),
    ("most_bins", 16, SCORECARD, "scorecard.bins", 16, 17),
    ("most_depth", 4, BOOSTING, "boosting.depth", 4, 5),
    ("most_trees", 100, BOOSTING, "boosting.trees", 100, 101),
    ("most_exchanges", 30, SCORECARD, "scorecard.exchanges", 30, 31),
    ("most_batches", 140, NETWORK, "network.batches", 140, 141),
    ("most_embedding", 16, NETWORK, "network.embedding", 16, 17),
    ("padded_sides", False, BOOSTING, "boosting.sealed-sides", False, True),
    ("bank_grows_first", True, BOOSTING, "boosting.first-tree-bank-only", True, False),
    ("two_banks", False, BANKS, "banks.allow-two", False, True),
    ("most_epsilon", 3.0, BANKS, "banks.epsilon", 3.0, 3.001),
    ("most_epsilon", 3.0, BANKS, "banks.epsilon", 0.5, 0.0),
    ("most_delta", 0.00001, BANKS, "banks.delta", 0.00001, 0.0001),
]
HARMLESS = {
    "boosting": """parallel learning-rate min-leaf-weight min-gain l2 category-smoothing row-share column-share goss-top
        goss-other monotone ahead patience calibrate reweigh precision""",
    "network": """bins top learning-rate weight-decay party-dropout evaluate-every patience rounds local-epochs
        local-batch local-rate local-decay proximal""",
    "blend": "members",
    "banks": "recalibrate",
    "scorecard": """max-p min-iv monotone c l1-ratio depth tolerance settled pdo base-score base-odds calibrate
        precision""",
}
"""Settings that change a model or its cost, and weaken no defence."""
ELSEWHERE = {
    "conversations",
    "ciphertext_grade",
    "padded_grade",
    "aggregate_grade",
    "per_row_grade",
    "alignments_per_day",
    "models_per_day",
    "applicants_per_day",
    "least_applicants",
    "reason_texts",
    "keep_studies",
    "hand_over",
    "test_ids",
    "applicants",
    "partners",
}
"""Rules that bound no setting of a protocol; each has a test of its own below."""


@pytest.mark.parametrize(("rule", "allowed", "contender", "setting", "keeps", "breaks"), RULES)
def test_a_run_that_just_keeps_a_rule_is_answered_and_one_that_just_breaks_it_hears_which(
    send: Send, data: Path, rule: str, allowed: Any, contender: str, setting: str, keeps: Any, breaks: Any
) -> None:
    allow(data / "tax", **{rule: allowed})
    config = trained(data, contender)

    def refused(config: TrainingConfig) -> str | None:
        # Before anything is aligned, since the run is to train nothing else.
        return refusal_in(send(config, DescribeRequest(), node={"partition-id": 1}))

    assert refused(with_setting(config, setting, keeps)) is None
    text = refused(with_setting(config, setting, breaks))
    asked = f"{setting}={breaks}".lower() if type(breaks) is bool else f"{breaks}"
    words = Policy(**{rule: allowed}).in_words(rule)
    assert text == f"the policy of tax allows {words} (policy.{rule}), and the run asks for {asked}"
    # What another protocol would break does not matter to this one.
    other = next(name for name in federated_contenders() if name != contender)
    assert refused(replace(with_setting(config, setting, breaks), contenders=(other,))) is None


def test_a_refusal_is_one_sentence(send: Send, data: Path) -> None:
    allow(data / "tax", most_trees=100)
    config = with_setting(trained(data), "boosting.trees", 200)
    text = refusal_in(send(config, DescribeRequest(), node={"partition-id": 1}))
    assert text == "the policy of tax allows at most 100 trees (policy.most_trees), and the run asks for 200"


def test_every_setting_of_a_protocol_that_weakens_a_defence_has_a_rule() -> None:
    bounded = {setting for _, _, _, setting, _, _ in RULES}
    harmless = {f"{name}.{word}" for name, words in HARMLESS.items() for word in words.split()}
    of_protocols = {key for key in TrainingConfig().to_mapping() if key.partition(".")[0] in sections()}

    assert not bounded & harmless
    assert bounded | harmless == of_protocols, "say of a new setting whether it weakens a defence"
    assert {rule for rule, *_ in RULES} | ELSEWHERE == {one.name for one in fields(Policy)}


def test_a_conversation_that_is_not_allowed_is_refused_and_the_others_go_on(send: Send, data: Path) -> None:
    allow(data / "tax", conversations=("network",))
    refused = (
        "the policy of tax allows the conversations network (policy.conversations), and the run asks for {}"
    )

    def heard(config: RunConfig) -> str | None:
        return refusal_in(send(config, DescribeRequest(), node={"partition-id": 1}))

    assert heard(trained(data)) == refused.format("boosting")
    assert heard(trained(data, NETWORK)) is None
    # The parties meet, since one of the models is allowed; the other is refused when it begins.
    assert heard(trained(data, contenders=(BOOSTING, NETWORK))) is None
    assert heard(ScoringConfig(data=str(data), parties=("bank", "tax"))) == refused.format("scoring")


def test_a_query_of_a_conversation_that_is_not_allowed_is_refused_too(send: Send, data: Path) -> None:
    allow(data / "tax", conversations=("network",))
    refused = refusal_in(send(trained(data), SidesRequest(), Envelope("s", "m/1"), {"partition-id": 1}))
    assert "policy.conversations" in str(refused)


# Grades and forms.


@pytest.mark.parametrize(
    ("conversation", "passive", "label_holder"),
    [
        (
            "boosting",
            {"ciphertext", "padded", "aggregate", "per row"},
            {"ciphertext", "padded", "aggregate", "per row"},
        ),
        ("network", {"per row"}, {"aggregate", "per row"}),
        ("scorecard", {"ciphertext", "aggregate", "per row"}, {"ciphertext", "aggregate"}),
        ("scoring", {"per row"}, set()),
    ],
)
def test_what_leaves_by_a_conversation_follows_from_its_declared_messages(
    conversation: str, passive: set, label_holder: set
) -> None:
    (found,) = (one for one in CONVERSATIONS if one.name == conversation)
    assert {form.value for form in forms_of(found, holds_label=False)} & FORMS == passive
    assert {form.value for form in forms_of(found, holds_label=True)} & FORMS == label_holder


@pytest.mark.parametrize("rule", ["ciphertext_grade", "padded_grade", "aggregate_grade", "per_row_grade"])
def test_no_column_of_too_high_a_grade_leaves_in_a_form(send: Send, data: Path, rule: str) -> None:
    tax = data / "tax"
    columns = [replace(column, grade=2) for column in read_declaration(tax).columns]
    columns[1] = replace(columns[1], grade=4)
    write_declaration(tax, replace(read_declaration(tax), columns=tuple(columns)))

    def heard(contender: str) -> str | None:
        return refusal_in(send(trained(data, contender), DescribeRequest(), node={"partition-id": 1}))

    allow(tax, **{rule: 4})
    assert heard(BOOSTING) is None
    allow(tax, **{rule: 3})
    assert heard(BOOSTING) == (
        f"the policy of tax allows {Policy(**{rule: 3}).in_words(rule)} (policy.{rule}), and the run asks for grade 4"
    )
    # A party of the network sends embeddings of rows, and neither sums nor padded sides.
    assert (heard(NETWORK) is None) == (rule != "per_row_grade")


# Files.


@pytest.mark.parametrize(
    ("allowed", "file", "is_allowed"),
    [
        (".", "bank/ids.txt", True),
        (".", "bank/lists/ids.txt", True),
        (".", "ids.txt", False),
        ("lists", "bank/lists/ids.txt", True),
        ("lists", "bank/lists2/ids.txt", False),
        ("lists/*.txt", "bank/lists/ids.txt", True),
        ("lists/*.txt", "bank/lists/ids.csv", False),
        ("lists", "bank/lists/../party.toml", False),
        ("lists", "bank/lists/link.txt", False),
        ("../*.txt", "ids.txt", False),
        ("..", "ids.txt", True),
    ],
)
@pytest.mark.parametrize("task", ["training", "scoring"])
def test_a_run_names_only_such_files_as_the_label_holder_allows(
    send: Send, data: Path, allowed: str, file: str, is_allowed: bool, task: str
) -> None:
    bank = data / "bank"
    (bank / "lists").mkdir()
    (bank / "lists" / "link.txt").symlink_to(bank / "table.csv")
    for party in (bank, data / "tax"):
        allow(party, test_ids=(allowed,), applicants=(allowed,))
    path = f"{data}/{file}"
    scoring = ScoringConfig(data=str(data), parties=("bank", "tax"), applicants=path)
    config, rule = {
        "training": (trained(data, test_ids=path), "test_ids"),
        "scoring": (scoring, "applicants"),
    }[task]

    refused = refusal_in(send(config, DescribeRequest()))

    assert (refused is None) == is_allowed
    assert is_allowed or str(refused).endswith(f"(policy.{rule}), and the run asks for {path}")
    assert refusal_in(send(config, DescribeRequest(), node={"partition-id": 1})) is None, (
        "tax opens no such file"
    )


# Partners.


def test_a_party_that_works_with_pinned_partners_only_meets_nobody_else(
    send: Send, introduction: Callable, data: Path
) -> None:
    config = trained(data, state=str(data / "state"))

    def met() -> str | None:
        return refusal_in(send(config, introduction(config), Envelope("s", "", 1), {"partition-id": 1}))

    allow(data / "tax", partners="pinned")
    assert met() == (
        "the policy of tax allows only partners whose keys stand in its party.toml (policy.partners), and the run asks "
        "for bank, whose key does not"
    )
    allow(data / "tax", partners="first-use")
    assert met() is None


# So much a day.


def test_what_is_asked_in_a_day_is_counted_in_the_partys_own_state(data: Path, tmp_path: Path) -> None:
    tax, state = data / "tax", tmp_path / "state"
    allow(tax, applicants_per_day=100, models_per_day=1)

    def count(rule: str, more: int, study: str) -> None:
        Session(trained(data, study=study, keep_studies=1), Envelope(study, "", 1), tax, state).count(
            rule, more
        )

    count("applicants_per_day", 60, "a")
    count("applicants_per_day", 40, "b")
    count("models_per_day", 1, "b")
    with pytest.raises(PolicyError, match=r"at most 100 applicants a day .*, and the run asks for 101"):
        count("applicants_per_day", 1, "c")
    with pytest.raises(PolicyError, match=r"policy\.models_per_day"):
        count("models_per_day", 1, "c")
    # Another day.
    asked = Store(state / POLICY).read(Asked)
    assert asked == Asked(date.today().isoformat(), {"applicants_per_day": 100, "models_per_day": 1})
    Store(state / POLICY).keep(replace(asked, day="2026-01-01"))
    count("applicants_per_day", 100, "d")
    # Without a rule nothing is counted.
    count("alignments_per_day", 1, "d")
    assert Store(state / POLICY).read(Asked).counts == {"applicants_per_day": 100}


def test_an_alignment_and_a_model_that_begin_count(data: Path, federate: Callable) -> None:
    allow(data / "tax", alignments_per_day=2, models_per_day=1)
    state = str(data / "state")
    run = federate(data, parties=("bank", "tax"), state=state)
    federate(data, parties=("bank", "tax"), state=state, study="second")
    with pytest.raises(FederationError, match=r"policy\.alignments_per_day"):
        federate(data, parties=("bank", "tax"), state=state, study="third")
    assigned = assign_roles(run.federation, 1)

    def train_by(contender: str) -> None:
        settings = {"assigned": assigned, "config": run.config, "on_progress": ignore}
        train(run.federation, Training(contender=contender, seed=1, **settings))

    train_reserve(run.federation, assigned, 1, ignore)
    train_by(BOOSTING)
    with pytest.raises(
        FederationError, match=r"at most 1 models a day to be trained \(policy\.models_per_day\)"
    ):
        train_by(NETWORK)


# When rules bind, and what was possible without them.


def weakened(data: Path, setting: str, value: Any) -> TrainingConfig:
    section = setting.partition(".")[0]
    contender = next(name for name, one in federated_contenders().items() if one.name == section)
    return with_setting(trained(data, contender), setting, value)


def test_the_defaults_allow_a_run_by_the_defaults(send: Send, data: Path) -> None:
    for party in ("bank", "tax"):
        for contender in federated_contenders():
            node = {"party-folder": str(data / party)}
            assert refusal_in(send(trained(data, contender), DescribeRequest(), node=node)) is None


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("boosting.encryption", "plain"),
        ("scorecard.encryption", "plain"),
        ("network.defence", "none"),
        ("network.noise", 0.01),
        ("network.batch-size", 64),
        ("boosting.min-bin-count", 1),
        ("boosting.min-leaf-count", 1),
        ("scorecard.min-group", 1),
    ],
)
def test_finding_8_the_settings_of_a_run_do_not_override_a_deployed_partys_interests(
    send: Send, data: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: Any
) -> None:
    deployed, config = {"party-folder": str(data / "tax")}, weakened(data, setting, value)

    assert str(refusal_in(send(config, DescribeRequest(), node=deployed))).startswith(
        "the policy of tax allows "
    )
    # What is not written does not bind experiments on one machine, and what is written binds instead of the default.
    assert refusal_in(send(config, DescribeRequest(), node={"partition-id": 1})) is None
    (rule,) = (rule for rule, _, _, one, _, _ in RULES if one == setting and rule in DEFAULTS.written)
    kind = type(getattr(DEFAULTS, rule))
    allow(data / "tax", **{rule: (value,) if kind is tuple else kind(value)})
    assert refusal_in(send(config, DescribeRequest(), node=deployed)) is None

    allow(data / "tax")
    monkeypatch.setattr(Policy, "require", lambda *_: None)
    assert refusal_in(send(config, DescribeRequest(), node=deployed)) is None


def test_finding_8_a_run_that_names_any_file_of_the_bank_is_refused(
    send: Send, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed, config = {"party-folder": str(data / "bank")}, trained(data, test_ids="/etc/passwd")
    assert "policy.test_ids" in str(refusal_in(send(config, DescribeRequest(), node=deployed)))
    monkeypatch.setattr(Policy, "require_file", lambda *_: None)
    assert refusal_in(send(config, DescribeRequest(), node=deployed)) is None


def test_finding_8_a_run_pushes_no_study_out_below_the_policys_own_number(
    send: Send, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(data / "tax", partners="first-use")
    state = data / "tax" / "state"
    for study in ("a", "b", "c"):
        Store(state / study).commit(Commit(step=1))
        Store(state / study).mark_trained()

    def begin(study: str) -> None:
        config = trained(data, study=study, keep_studies=1)
        nodes = [{"party-folder": str(data / party)} for party in config.parties]
        described = [unpack(send(config, DescribeRequest(), node=node), Description) for node in nodes]
        request = MeetRequest({about.name: about.introduction for about in described})
        assert refusal_in(send(config, request, Envelope(study, "", 1), nodes[1])) is None

    begin("d")
    assert {"a", "b", "c", "d"} <= {path.name for path in state.iterdir()}
    monkeypatch.setattr(Policy, "with_defaults", lambda self: self)
    begin("e")
    assert not {"a", "b"} & {path.name for path in state.iterdir()}


# As it is written.


def test_a_policy_is_read_as_it_was_written(data: Path) -> None:
    policy = replace(DEFAULTS, padded_sides=False, least_noise=0.0, conversations=())
    allow(data / "tax", **policy.written)
    assert read_declaration(data / "tax").policy == policy
    allow(data / "tax")
    assert "policy" not in (data / "tax" / "party.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[policy]\nmost_tree = 3", "unknown key 'most_tree'. Did you mean 'most_trees'?"),
        ("[policy]\nmost_trees = 0", "most_trees must be a whole number from 1, not 0."),
        ("[policy]\nmost_trees = true", "most_trees must be a whole number from 1, not True."),
        ("[policy]\nencryption = 'lattice'", "encryption must be a list of texts"),
        ("[policy]\npartners = 'anybody'", "partners must be 'pinned' or 'first-use', not 'anybody'."),
        (
            "[policy]\nper_row_grade = 6",
            "per_row_grade must be a whole number from 0 (no column) to 5, not 6.",
        ),
        ("policy = 3", "policy must be a table such as [policy], with a line for each rule."),
    ],
)
def test_a_policy_that_cannot_be_is_refused_with_what_can(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "party.toml").write_text(f'type = "tax"\n{written}\n', "utf-8")
    with pytest.raises(DataError) as refused:
        read_declaration(tmp_path)
    assert said in str(refused.value)
