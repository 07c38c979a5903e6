import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.app_config import written_in
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import (
    RunConfig,
    Scalar,
    ScoringConfig,
    TrainingConfig,
    app_defaults,
    from_texts,
    read_config,
)
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError

PROJECT_FILE = Path(__file__).parents[3] / "pyproject.toml"


def flat(table: dict, prefix: str = "") -> dict:
    """Flower's view of nested tables: `{"network": {"noise": 4.0}}` is `{"network.noise": 4.0}`."""
    pairs: dict = {}
    for key, value in table.items():
        pairs |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return pairs


def test_flower_finds_the_same_defaults_in_the_project_file() -> None:
    text = PROJECT_FILE.read_text("utf-8")
    declared = flat(tomllib.loads(text)["tool"]["flwr"]["app"]["config"])
    # But for the parties, which every dataset has of its own: there stand those of the generated ones.
    assert declared == app_defaults() | {"parties": declared["parties"]}
    assert read_config(declared).require_parties()
    assert {key: type(value) for key, value in declared.items()} == {
        key: type(value) for key, value in app_defaults().items()
    }
    assert written_in(text) == text


sections = st.tuples(
    st.builds(
        NetworkConfig,
        batches=st.integers(1, 999),
        noise=st.floats(0.1, 100),
        defence=st.sampled_from(["gaussian", "max-norm", "none"]),
    ),
    st.builds(
        BoostingConfig,
        trees=st.integers(1, 999),
        l2=st.floats(0.1, 100),
        monotone=st.booleans(),
        encryption=st.sampled_from(["lattice", "paillier", "plain"]),
    ),
    st.builds(ScorecardConfig, min_group=st.integers(1, 99)),
)
names = st.lists(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), min_size=1, max_size=4, unique=True).map(
    tuple
)
seeds = st.lists(st.integers(0, 2**32 - 1), min_size=1, unique=True).map(tuple)
trainings = st.builds(
    TrainingConfig,
    data=st.text(),
    parties=names,
    contenders=st.just(()) | names,
    seeds=seeds,
    test_share=st.floats(0.05, 0.5),
    validation_share=st.floats(0.05, 0.45),
    alignment=st.sampled_from(["left", "inner"]),
    register=st.booleans(),
)
scorings = st.builds(
    ScoringConfig,
    data=st.text(),
    parties=names,
    model=st.sampled_from(["", "s/federated-network/1"]),
    applicants=st.sampled_from(["", "/new.csv"]),
)


@given(config=trainings | scorings, sections=sections)
def test_the_flat_form_says_everything(config: TrainingConfig | ScoringConfig, sections: tuple) -> None:
    for section in sections:
        config = config.with_section(section)
    assert read_config(config.to_mapping()) == config
    assert all(isinstance(value, bool | int | float | str) for value in config.to_mapping().values())


@given(config=trainings, sections=sections)
def test_settings_come_back_from_their_texts(config: TrainingConfig, sections: tuple) -> None:
    for section in sections:
        config = config.with_section(section)
    texts = {name: str(value) for name, value in config.to_mapping().items()}
    assert from_texts({**texts, "contender": "federated-boosting"}, TrainingConfig) == config


def test_what_is_not_set_keeps_its_default() -> None:
    config = TrainingConfig.from_mapping({"network.batch-size": 64, "seeds": "1, 2", "party-timeout": 30})
    assert config.section(NetworkConfig) == NetworkConfig(batch_size=64)
    assert config.section(BoostingConfig) == BoostingConfig()
    assert config.seeds == (1, 2)
    assert config.party_timeout == 30.0
    assert config.parties == ()
    assert config.contenders == ("federated-network",)


# The two kinds of run.


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, TrainingConfig),
        ({"task": "training"}, TrainingConfig),
        ({"task": "scoring"}, ScoringConfig),
        (app_defaults(), TrainingConfig),
        (app_defaults() | {"task": "scoring"}, ScoringConfig),
    ],
)
def test_the_task_says_which_kind_of_run_it_is(settings: dict[str, Scalar], kind: type) -> None:
    assert read_config(settings) == kind()


@pytest.mark.parametrize(
    ("task", "foreign"),
    [
        ("training", {"applicants": "/new.csv"}),
        ("scoring", {"seeds": "1,2"}),
        ("scoring", {"register": False}),
    ],
)
def test_a_setting_of_the_other_kind_of_run_is_refused(task: str, foreign: dict[str, Scalar]) -> None:
    (key,) = foreign
    with pytest.raises(ConfigError, match=f"'{key}' is not one of a run with the task {task}"):
        read_config({"task": task} | foreign)


def test_there_are_two_tasks() -> None:
    with pytest.raises(ConfigError, match="'task' must be training or scoring, not 'dreaming'"):
        read_config({"task": "dreaming"})


@pytest.mark.parametrize("model", ["", "s", "s/federated-boosting", "s/x/one", "../s/x/1", "/s/x/1"])
def test_a_model_is_named_by_study_contender_and_seed(model: str) -> None:
    with pytest.raises(ConfigError, match="STUDY/CONTENDER/SEED"):
        _ = ScoringConfig(model=model, applicants="/new.csv").model_parts


def test_a_model_needs_applicants() -> None:
    with pytest.raises(ConfigError, match="'applicants' must be a file of applicants"):
        _ = ScoringConfig(model="s/federated-boosting/1").model_parts
    assert ScoringConfig(model="s/x/2", applicants="/new.csv").model_parts == ("s", "x", 2)


# Sections.


@pytest.mark.parametrize("kind", [TrainingConfig, ScoringConfig])
def test_every_kind_of_run_has_the_sections_of_all_protocols(kind: type[RunConfig]) -> None:
    config = kind()
    for section in (BoostingConfig(trees=7), NetworkConfig(batches=7), ScorecardConfig(min_group=7)):
        assert config.section(type(section)) == type(section)()
        config = config.with_section(section)
        assert config.section(type(section)) == section


def test_there_are_no_other_sections() -> None:
    with pytest.raises(ConfigError, match="no settings of the kind int"):
        TrainingConfig().section(int)
    with pytest.raises(ConfigError, match="no settings of the kind int"):
        TrainingConfig().with_section(3)


# What is refused.


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("network.batch_size", "network.batch-size"),
        ("batch-size", "network.batch-size"),
        ("seed", "seeds"),
        ("network.defense", "network.defence"),
    ],
)
@pytest.mark.parametrize("read", [read_config, TrainingConfig.from_mapping])
def test_an_unknown_setting_suggests_the_nearest(read, key: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"no setting '{key}'. Did you mean '{nearest}'"):
        read({key: 1})


def test_an_unknown_setting_like_none_lists_all() -> None:
    with pytest.raises(ConfigError, match=r"Known settings: data, parties, .*scorecard\.encryption, .*\."):
        TrainingConfig.from_mapping({"xyz": 1})


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("network.batches", 1.5, "a whole number"),
        ("network.batches", True, "a whole number"),
        ("network.noise", "4", "a number"),
        ("network.noise", True, "a number"),
        ("register", 1, "true or false"),
        ("seeds", 1, "a text of whole numbers with commas"),
        ("seeds", "one", "a text of whole numbers with commas"),
        ("parties", 1, "a text of names with commas"),
        ("study", 1, "text"),
    ],
)
def test_a_value_of_another_type_is_refused(key: str, value: object, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"'{key}' must be {kind}, not {value!r}"):
        TrainingConfig.from_mapping({key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("alignment", "right"),
        ("test-share", 0.0),
        ("validation-share", 1.0),
        ("test-share", 0.9),
        ("keep-studies", 0),
        ("party-timeout", 0.0),
        ("party-timeout", float("inf")),
        ("connect-timeout", -1.0),
        ("parties", "bank,bank"),
        ("contenders", "federated-network,federated-network"),
        ("seeds", ""),
        ("seeds", "1,1"),
        ("seeds", "-1"),
        ("seeds", "4294967296"),
        ("study", "a/b"),
        ("study", ".."),
        ("state", "state"),
        ("test-ids", "../ids.csv"),
        ("progress", "p.jsonl"),
        ("network.batch-size", 0),
        ("network.patience", -1),
        ("network.learning-rate", 0.0),
        ("network.learning-rate", float("nan")),
        ("network.weight-decay", -0.1),
        ("network.defence", "hope"),
        ("network.noise", 0.0),
        ("network.noise", float("inf")),
        ("network.party-dropout", 1.0),
        ("boosting.trees", 0),
        ("boosting.depth", 11),
        ("boosting.bins", 256),
        ("boosting.min-leaf-count", 0),
        ("boosting.min-leaf-weight", -1.0),
        ("boosting.l2", 0.0),
        ("boosting.learning-rate", 1.5),
        ("boosting.row-share", 0.0),
        ("boosting.column-share", 1.1),
        ("boosting.goss-top", 1.0),
        ("boosting.goss-other", 0.0),
        ("boosting.patience", -1),
        ("boosting.precision", 25),
        ("boosting.ahead", "far"),
        ("boosting.encryption", "rot13"),
        ("scorecard.bins", 1),
        ("scorecard.min-group", 0),
        ("scorecard.max-p", 0.0),
        ("scorecard.min-iv", -1.0),
        ("scorecard.c", 0.0),
        ("scorecard.l1-ratio", 1.0),
        ("scorecard.base-score", 1e6),
        ("scorecard.precision", 31),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_name_of_its_setting(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"Setting '{key}' must be "):
        TrainingConfig.from_mapping({key: value})


@pytest.mark.parametrize("key", ["applicants", "model-data", "state", "progress"])
def test_a_path_of_a_scoring_run_is_absolute(key: str) -> None:
    with pytest.raises(ConfigError, match=f"Setting '{key}' must be an absolute path"):
        ScoringConfig.from_mapping({key: "somewhere"})


def test_parties_must_be_named_where_they_are_needed() -> None:
    with pytest.raises(ConfigError, match="Setting 'parties' must be the names of those that take part"):
        TrainingConfig().require_parties()
    assert TrainingConfig(parties=("bank",)).require_parties() == ("bank",)


def test_the_parties_may_only_align() -> None:
    assert TrainingConfig(contenders=()).contenders == ()
    assert TrainingConfig.from_mapping({"contenders": ""}).contenders == ()


@pytest.mark.parametrize("data", ["", "data/demo"])
def test_the_data_folder_must_be_absolute(data: str) -> None:
    with pytest.raises(ConfigError, match=f"'data' must be the absolute path of a dataset.*not '{data}'"):
        _ = TrainingConfig(data=data).data_folder


def test_the_data_folder_is_a_path(tmp_path: Path) -> None:
    assert TrainingConfig(data=str(tmp_path)).data_folder == tmp_path
