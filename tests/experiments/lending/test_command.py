from pathlib import Path

import pytest

from experiments.dataset import open_dataset
from experiments.lending.command import DATA, choose_pair, choose_sources
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError


@pytest.mark.parametrize(
    ("algorithm", "contenders", "pair"),
    [
        ("boosting", "", ("bank-only-boosting", "federated-boosting")),
        ("network", " bank-only-trees, pooled-trees", ("bank-only-trees", "pooled-trees")),
    ],
)
def test_the_pair_is_that_of_the_algorithm_unless_two_are_named(
    algorithm: str, contenders: str, pair: tuple[str, str]
) -> None:
    assert choose_pair(algorithm, contenders) == pair


def test_a_pair_is_two_different_contenders() -> None:
    with pytest.raises(ConfigError, match="no contender 'bank-only-luck'"):
        choose_pair("luck", "")
    with pytest.raises(ConfigError, match="only once"):
        choose_pair("network", "pooled-trees,pooled-trees")
    with pytest.raises(ConfigError, match="two contenders, such as A,B; these are 1: pooled-trees"):
        choose_pair("network", "pooled-trees")


def test_without_worlds_it_is_the_data_at_hand(tables: Path) -> None:
    asked = []

    def configured(folder: Path):
        asked.append(folder)
        return open_dataset(tables), TrainingConfig()

    sources, config = choose_sources("", "1", 1_000, False, None, "1", [], configured)
    assert asked == [DATA]
    assert [source.world for source in sources] == [tables.name]
    assert config == TrainingConfig()


def test_economies_of_a_world_are_trained_under_the_seeds_and_settings_given() -> None:
    sources, config = choose_sources(
        "base", "3, 4", 1_000, False, None, "8,9", ["boosting.trees=7"], pytest.fail
    )
    assert [source.economy for source in sources] == [3, 4]
    assert config.seeds == (8, 9)
    assert config.section(BoostingConfig).trees == 7


@pytest.mark.parametrize(
    ("worlds", "economies", "truth", "data", "said"),
    [
        ("base", "1", False, Path("here"), "on --worlds or on --data; name one"),
        ("base", "one", False, None, "Economies must be whole numbers with commas, not 'one'"),
        ("base", "", False, None, "Economies must be whole numbers"),
        ("moon", "1", False, None, "world"),
        ("", "1", True, Path("here"), "--truth is for --worlds"),
    ],
)
def test_what_makes_no_sense_is_refused(
    worlds: str, economies: str, truth: bool, data: Path | None, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        choose_sources(worlds, economies, 1_000, truth, data, "1", [], pytest.fail)
