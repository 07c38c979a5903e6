"""Three kills of a deployment's processes; `make bench-kills` plays thirty."""

from experiments.benchmarks.kills import Kill, summary


def test_the_table_of_kills_counts_them_by_target() -> None:
    kills = [Kill(1, "tax:all", 1.0, seconds=10.0), Kill(1, "bank:all", 9.0, "resumed", 31.0, ["bank away"])]

    assert summary(kills).splitlines()[2:] == [
        "| bank:all | 1 | 0 | 1 | 31 | 31 | 1 |",
        "| tax:all | 1 | 1 | 0 | 10 | 10 | 0 |",
        "| all | 2 | 1 | 1 | 20 | 31 | 1 |",
    ]
