import pandas as pd
import pytest

from experiments.benchmarks.boosting import PHASES, exponents, phase_seconds


def test_exponents_are_those_of_a_power_law() -> None:
    sizes = pd.MultiIndex.from_product([[10, 30, 100], [5, 20]], names=["rows", "columns"]).to_frame(
        index=False
    )
    table = sizes.assign(cpu_seconds=3 * sizes["rows"] ** 1.1 * sizes["columns"] ** 0.8)

    assert exponents(table) == pytest.approx({"rows": 1.1, "columns": 0.8})
    assert exponents(table[table["columns"] == 5]) == pytest.approx({"rows": 1.1})


def test_every_action_of_boosting_has_its_phase() -> None:
    costs = {f"cpu_seconds.train.{action}": 1.0 for actions in PHASES.values() for action in actions}
    costs |= {"cpu_seconds": 99.0, "seconds": 99.0}

    assert {phase: phase_seconds(costs, phase) for phase in PHASES} == {
        phase: len(actions) for phase, actions in PHASES.items()
    }
