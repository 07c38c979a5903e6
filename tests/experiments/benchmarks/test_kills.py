"""Kills of a deployment's processes in one study; `make bench-kills` plays thirty in several."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.benchmarks.kills import Kill, Plan, play, summary


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:subprocess .* is still running:ResourceWarning"
)  # supervisors are to live on
def test_a_study_survives_kills_and_its_model_is_that_of_one_process_bit_for_bit(
    make_tables: Callable[..., Path], tmp_path: Path
) -> None:
    went_on = {
        "tax:worker": "by itself",
        "coordinator:superlink": "by itself",
        "coordinator:executor": "by itself",
        "coordinator:serverapp": "resumed",
    }
    # Under this seed the ServerApp is the first to die: where a study is nearly at its end, none needs to be resumed.
    plan = Plan(4, 4, trips=(2, 2), seed=9, targets=tuple(went_on), contenders=("federated-scorecard",))

    kills, wrong = play(make_tables(("tax",), rows=1200), tmp_path, plan)

    assert wrong == []
    assert {kill.target: kill.went_on for kill in kills} == went_on
    assert [kill.unexplained for kill in kills] == [[], [], [], []]
    assert {kill.run for kill in kills} == {1}


def test_the_table_of_kills_counts_them_by_target() -> None:
    kills = [Kill(1, "tax:all", 1.0, seconds=10.0), Kill(1, "bank:all", 9.0, "resumed", 31.0, ["bank away"])]

    assert summary(kills).splitlines()[2:] == [
        "| bank:all | 1 | 0 | 1 | 31 | 31 | 1 |",
        "| tax:all | 1 | 1 | 0 | 10 | 10 | 0 |",
        "| all | 2 | 1 | 1 | 20 | 31 | 1 |",
    ]
