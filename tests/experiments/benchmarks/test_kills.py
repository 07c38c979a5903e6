"""Three kills of a deployment's processes; `make bench-kills` plays thirty."""

from pathlib import Path

import pytest

from experiments.benchmarks.kills import Kill, play, summary


@pytest.mark.slow
def test_a_study_survives_the_deaths_of_a_worker_the_superlink_and_the_coordinator(tmp_path: Path) -> None:
    targets = ("bank:worker", "coordinator:superlink", "coordinator:serverapp")

    kills, wrong = play(tmp_path, 3, 3, 1, targets)

    assert wrong == []  # every model is that of a study that nobody disturbed, bit by bit
    assert {kill.target: kill.went_on for kill in kills} == {
        **dict.fromkeys(targets, "by itself"),
        "coordinator:serverapp": "resumed",
    }
    assert [kill.unexplained for kill in kills] == [[], [], []]


def test_the_table_of_kills_counts_them_by_target() -> None:
    kills = [Kill(1, "tax:all", 1.0, seconds=10.0), Kill(1, "bank:all", 9.0, "resumed", 31.0, ["bank away"])]

    assert summary(kills).splitlines()[2:] == [
        "| bank:all | 1 | 0 | 1 | 31 | 31 | 1 |",
        "| tax:all | 1 | 1 | 0 | 10 | 10 | 0 |",
        "| all | 2 | 1 | 1 | 20 | 31 | 1 |",
    ]
