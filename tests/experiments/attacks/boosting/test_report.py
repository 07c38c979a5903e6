"""All attacks on boosting side by side, and as tables."""

from collections.abc import Callable

import pytest

from experiments.attacks.boosting.bins import COLUMNS
from experiments.attacks.boosting.labels import LABELS
from experiments.attacks.boosting.recording import options
from experiments.attacks.contenders import play
from experiments.attacks.report import play_all
from experiments.attacks.tables import tables
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from server.progress import ignore


def test_options_change_what_they_name_and_nothing_else() -> None:
    config = BoostingConfig(depth=3, min_leaf_count=20)

    compared = options(config)

    assert list(compared) == ["as-set", "bank-first", "leaves-100"]
    assert compared["as-set"] == config
    assert compared["bank-first"] == BoostingConfig(depth=3, min_leaf_count=20, first_tree_bank_only=True)
    assert compared["leaves-100"] == BoostingConfig(depth=3, min_leaf_count=100)


def test_all_attacks_stand_side_by_side(configured: Callable[..., TrainingConfig]) -> None:
    config = configured(("supply", "tax"), trees=2, depth=2, min_leaf_count=5)

    attacks = play_all([LABELS, COLUMNS], config, "tax", ignore)

    assert attacks.party == "tax"
    of_party = attacks.figures[LABELS]
    assert list(of_party) == ["own", "as-set", "bank-first", "leaves-25"]
    assert attacks.test_auc.keys() == {"as-set", "bank-first", "leaves-25"}
    assert attacks.group >= 1
    rows = [table.row_count for table in tables(attacks)]
    assert rows == [len(of_party) + 1, len(attacks.figures[COLUMNS]) + 1]


def test_only_what_is_attacked_can_be_named(configured: Callable[..., TrainingConfig]) -> None:
    algorithms = ("boosting", "network", "scorecard")
    attacked = ", ".join(f"{who}-{what}" for who in ("banks", "federated") for what in algorithms)
    with pytest.raises(ConfigError, match=f"attacks on {attacked}, not on 'tree'"):
        play("tree", configured(), "", ignore)
