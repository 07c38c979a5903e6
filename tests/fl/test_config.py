import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import (
    RunConfig,
    ScoringConfig,
    TrainingConfig,
    app_defaults,
    from_texts,
    read_config,
    sections,
)
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError

ROOT = Path(__file__).parents[2]


def flat(table: dict, prefix: str = "") -> dict:
    """Flower's view of nested tables: `{"network": {"noise": 4.0}}` is `{"network.noise": 4.0}`."""
    found: dict = {}
    for key, value in table.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def test_flower_finds_the_same_defaults_in_the_project_file() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

    declared = flat(content["tool"]["flwr"]["app"]["config"])

    defaults = app_defaults() | {"parties": "bank,tax,supply_chain"}
    assert declared == defaults
    assert {key: type(value) for key, value in declared.items()} == {
        key: type(value) for key, value in defaults.items()
    }


@given(
    config=st.builds(
        TrainingConfig,
        data=st.text(),
        seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, unique=True).map(tuple),
        test_share=st.floats(0.05, 0.5),
        validation_share=st.floats(0.05, 0.45),
        alignment=st.sampled_from(["left", "inner"]),
        sections=st.fixed_dictionaries(
            {
                "boosting": st.builds(
                    BoostingConfig,
                    trees=st.integers(1, 999),
                    l2=st.floats(0.1, 100),
                    monotone=st.booleans(),
                    encryption=st.sampled_from(["lattice", "paillier", "plain"]),
                ),
                "network": st.builds(
                    NetworkConfig,
                    batches=st.integers(1, 999),
                    noise=st.floats(0.1, 100),
                    defence=st.sampled_from(["gaussian", "max-norm", "none"]),
                ),
                "scorecard": st.builds(ScorecardConfig, settled=st.floats(0, 1), depth=st.integers(1, 99)),
            }
        ),
    )
)
def test_the_flat_form_says_everything(config: TrainingConfig) -> None:
    assert read_config(config.to_mapping()) == config
    assert from_texts({name: str(value) for name, value in config.to_mapping().items()}) == config


def test_what_is_not_set_keeps_its_default() -> None:
    config = TrainingConfig.from_mapping({"network.batch-size": 64, "seeds": "1, 2", "timeout": 30})

    assert config.section(NetworkConfig) == NetworkConfig(batch_size=64)
    assert config.section(BoostingConfig) == BoostingConfig()
    assert config.seeds == (1, 2)
    assert config.timeout == 30.0
    assert config.parties == ()
    assert config.contenders == ("federated-network",)


def test_a_section_is_found_and_replaced_by_its_class() -> None:
    config = TrainingConfig().with_section(BoostingConfig(trees=7))

    assert config.section(BoostingConfig).trees == 7
    assert config.sections == sections() | {"boosting": BoostingConfig(trees=7)}
    with pytest.raises(ConfigError, match="There are no settings of the kind Path"):
        config.section(Path)


@pytest.mark.parametrize("kind", [TrainingConfig, ScoringConfig])
def test_a_run_is_of_the_kind_that_its_task_names(kind: type[RunConfig]) -> None:
    assert read_config(app_defaults() | {"task": kind.task}) == kind()
    assert isinstance(read_config({}), TrainingConfig)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"task": "sorting"}, "Setting 'task' must be training or scoring, not 'sorting'"),
        ({"task": "scoring", "seeds": "2"}, "Setting 'seeds' is not one of a run with the task scoring"),
        ({"model": "s/x/1"}, "Setting 'model' is not one of a run with the task training"),
        ({"task": "scoring", "boosting.trees": 0}, "Setting 'boosting.trees' must be 1 or more, not 0"),
    ],
)
def test_a_setting_of_the_other_kind_of_run_is_refused(settings: dict[str, str | int], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_config(settings)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("network.batch_size", "network.batch-size"),
        ("batch-size", "network.batch-size"),
        ("seed", "seeds"),
        ("network.defense", "network.defence"),
    ],
)
def test_an_unknown_setting_suggests_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"no setting '{key}'. Did you mean '{nearest}'"):
        TrainingConfig.from_mapping({key: 1})


def test_an_unknown_setting_like_none_lists_all() -> None:
    with pytest.raises(ConfigError, match=r"Known settings: data, parties, .*scorecard\.encryption\."):
        TrainingConfig.from_mapping({"xyz": 1})


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("network.batches", 1.5, "a whole number"),
        ("network.batches", True, "a whole number"),
        ("network.noise", "4", "a number"),
        ("network.noise", True, "a number"),
        ("seeds", "one", "whole numbers with commas"),
        ("alignment", 1, "text"),
        ("register", 1, "true or false"),
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
        ("timeout", 0.0),
        ("timeout", float("inf")),
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


def test_the_parties_may_only_align() -> None:
    assert TrainingConfig.from_mapping({"contenders": ""}).contenders == ()


@pytest.mark.parametrize("data", ["", "data/demo"])
def test_the_data_folder_must_be_absolute(data: str) -> None:
    with pytest.raises(ConfigError, match=f"'data' must be the absolute path of a dataset.*not '{data}'"):
        _ = TrainingConfig(data=data).data_folder


def test_the_data_folder_is_a_path(tmp_path: Path) -> None:
    assert TrainingConfig(data=str(tmp_path)).data_folder == tmp_path


def test_parties_are_named_where_they_are_needed() -> None:
    assert TrainingConfig(parties=("bank", "tax")).require_parties() == ("bank", "tax")
    with pytest.raises(ConfigError, match="Setting 'parties' must be the names of those that take part"):
        TrainingConfig().require_parties()


def test_settings_come_back_from_their_texts() -> None:
    config = TrainingConfig(seeds=(1, 2), register=False, timeout=12.5)
    config = config.with_section(BoostingConfig(calibrate=False, trees=7))
    texts = {name: str(value) for name, value in config.to_mapping().items()}
    assert from_texts({**texts, "contender": "federated-boosting"}) == config


@pytest.mark.parametrize("model", ["", "s", "s/federated-boosting", "s/x/one", "../s/x/1", "/s/x/1"])
def test_a_model_is_named_by_study_contender_and_seed(model: str) -> None:
    with pytest.raises(ConfigError, match="STUDY/CONTENDER/SEED"):
        _ = ScoringConfig(model=model, applicants="/new.csv").model_parts


def test_a_model_needs_applicants() -> None:
    with pytest.raises(ConfigError, match="Setting 'applicants' must be a file of applicants"):
        _ = ScoringConfig(model="s/federated-boosting/1").model_parts
    assert ScoringConfig(model="s/x/2", applicants="/new.csv").model_parts == ("s", "x", 2)
