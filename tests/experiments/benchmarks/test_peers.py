import pandas as pd
import pytest

from experiments.benchmarks.peers import (
    ENGINES,
    PEERS,
    engines_figure,
    lines,
    link_seconds,
    markdown,
    tree_seconds,
)
from fl.encrypted_sums import ENGINES as OFFERED

MEASURED = pd.Series(
    {
        "engine": "lattice",
        "rows": 1_000,
        "columns": 10,
        "trees": 2.0,
        "seconds": 30.0,
        "megabytes": 250.0,
        "round_trips": 100.0,
        "cpu_seconds.bank": 3.0,
        "cpu_seconds.parties": 36.0,
        "cpu_seconds.coordinator": 1.0,
        "auc": 0.75,
        "cpu_seconds.xgboost": 1.0,
        "auc.xgboost": 0.76,
    }
)


def test_a_link_adds_the_time_of_its_bytes_and_of_its_round_trips() -> None:
    # 250 MB are 2,000 megabits, and a round trip takes 20 ms there and 20 ms back.
    assert link_seconds(MEASURED) == pytest.approx(30 + 20 + 4)
    assert link_seconds(MEASURED, megabits=10, milliseconds=50) == pytest.approx(30 + 200 + 10)


def test_our_line_stands_between_those_of_the_others_and_of_xgboost() -> None:
    fate = PEERS[0]

    table = lines(fate, MEASURED)

    assert table["system"].iloc[-2:].tolist() == ["SiloScore, lattice", "XGBoost, pooled, one thread"]
    assert table["wall s per tree"].iloc[:4].tolist() == [114, 131, 221, 15]
    assert table["CPU s per tree"].iloc[3] == tree_seconds(MEASURED) == 20
    assert (
        "| SiloScore, lattice | this machine | 2 | 30 | 15.0 | 20.0 | 250 | 100 | 54 | 0.7500 |"
        in markdown(table)
    )
    assert len(lines(fate, MEASURED.drop("cpu_seconds.xgboost"))) == len(table) - 1


def test_a_case_has_as_many_rows_that_train_as_was_published() -> None:
    fate = PEERS[0].case(trees=1)

    # A quarter of the rows tests, and a hundredth of the others validates.
    assert fate.rows * 0.75 * 0.99 == pytest.approx(100_000, rel=1e-4)
    assert (fate.bank_columns, fate.columns) == (30, 300)


def test_the_figure_has_two_lines_for_every_engine_and_number_of_columns() -> None:
    assert set(ENGINES) == set(OFFERED)
    one = MEASURED.to_dict()

    axes = engines_figure(pd.DataFrame([one, one | {"columns": 40}, one | {"rows": 5_000}])).axes[0]

    cells = [line.get_xdata().tolist() for line in axes.get_lines()]
    assert cells == [[10_000, 50_000], [10_000, 50_000], [40_000], [40_000]]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["lattice, CPU", "lattice, wall at 100 Mb/s, 20 ms"]
