"""A bank reads exactly the others' histograms in every node, and the attacks find what these tell."""

from pathlib import Path

import numpy as np
import pytest

from experiments.attacks.banks import boosting, coordinator, members
from experiments.attacks.banks.boosting import put_together, rightness
from experiments.attacks.banks.nodes import Node, nodes_of
from experiments.attacks.banks.recording import Heard
from experiments.attacks.report import play_all
from experiments.attacks.tables import tables
from fl.banks.boosting import BoostingProgram
from fl.banks.program import Rows
from fl.boosting.gradients import sampled_rows
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError
from fl.splits import TRAIN
from server.progress import ignore
from tests.fl.banks.test_scorecard import SCHEMA, all_rows, split

CONFIG = BoostingConfig(trees=6, parallel=2, depth=3, bins=6, min_leaf_count=5, row_share=0.6)


def heard_by_first(banks: list[Rows]) -> list[Heard]:
    """Every sum of a training as the first of the banks hears it."""
    program, heard = BoostingProgram(CONFIG, 3, SCHEMA), list[Heard]()
    states = [program.begin(rows) for rows in banks]
    while (addends := [program.addend(r, s) for r, s in zip(banks, states, strict=True)])[0] is not None:
        total = np.sum(addends, axis=0)
        heard.append(Heard(total=total, others=total - addends[0]))
        states = [program.advance(r, s, total) for r, s in zip(banks, states, strict=True)]
    return heard


def test_a_bank_hears_the_histograms_of_the_others_rows_in_every_node() -> None:
    first, second = split(all_rows(400), 2, seed=1)
    nodes = list(nodes_of(BoostingProgram(CONFIG, 3, SCHEMA), heard_by_first([first, second]), second))
    trained = sampled_rows(second.roles == TRAIN, 3, range(CONFIG.trees), CONFIG.row_share)
    assert {node.level for node in nodes} == {0, 1, 2}
    assert len({(node.round, node.tree) for node in nodes}) == CONFIG.trees
    for node in nodes:
        inside = node.inside & trained[CONFIG.trees_of(node.round)[node.tree]]
        assert node.count == inside.sum()
        for column in np.flatnonzero(node.used):
            counts = np.bincount(node.codes[inside, column], minlength=node.sums.shape[1])
            np.testing.assert_array_equal(node.sums[column, :, 2], counts)


def test_rows_are_put_together_as_every_histogram_says() -> None:
    sums = np.zeros((3, 2, 3), np.int64)
    sums[0, :, 2], sums[2, :, 2] = [1, 3], [4, 0]
    # Of four rows with a PD of 0.25 one is bad: PD less label is 0 in all.
    node = Node(
        round=0,
        tree=0,
        level=2,
        used=np.array([True, False, True]),
        sums=sums,
        inside=np.ones(0, bool),
        codes=np.empty((0, 3), np.uint8),
    )
    rows = put_together(node, 0.25, 1024, np.random.default_rng(1))
    assert rows.sum(axis=0).tolist() == [3, 0, 1]


def test_the_best_assignment_is_judged() -> None:
    true = np.array([[0, 1, 0], [2, 2, 1]])
    assert rightness(true[::-1], true) == 1
    assert rightness(np.array([[2, 2, 0], [0, 0, 0]]), true) == pytest.approx(4 / 6)


@pytest.fixture
def config(banks_tables: Path) -> TrainingConfig:
    config = TrainingConfig(
        data=str(banks_tables), parties=("bank_a", "bank_b", "bank_c", "supply", "tax"), study="attack"
    )
    return (
        config.with_section(CONFIG)
        .with_section(NetworkConfig(rounds=4, embedding=4, top=4))
        .with_section(ScorecardConfig(bins=6, min_group=10, max_p=0.05))
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "attacks",
    [
        (coordinator.BOOSTING, boosting.ROWS, members.BOOSTING),
        (coordinator.NETWORK, members.NETWORK),
        (coordinator.SCORECARD, members.SCORECARD),
    ],
    ids=["boosting", "network", "scorecard"],
)
def test_attacks_on_a_recorded_run(config: TrainingConfig, attacks: tuple) -> None:
    played = play_all(attacks, config, "bank_a", ignore)
    assert played.party == "bank_a"
    noise = played.figures[attacks[0]]
    assert noise.index.tolist() == ["bank_a", "bank_b", "bank_c", "total"]
    assert (noise["p-value"] > 1e-6).all()
    assert (noise["without pads"] < 1e-100).all()
    assert (noise["correlation"].abs() < 0.05).all()
    found = played.figures[attacks[-1]]
    # The counts on a grid that is fine for so few rows tell members from others.
    assert found.loc["cells of the grid", "as-set"] > 0.9
    assert len(tables(played)) == len(attacks)
    with pytest.raises(ConfigError, match="There is no bank 'tax'; there are bank_a, bank_b, bank_c"):
        play_all(attacks, config, "tax", ignore)
