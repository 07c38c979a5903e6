from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from experiments.benchmarks.boosting import PHASES, exponents, phase_seconds, write_tables


def test_exponents_are_those_of_a_power_law() -> None:
    sizes = pd.MultiIndex.from_product([[10, 30, 100], [5, 20]], names=["rows", "columns"]).to_frame(
        index=False
    )
    table = sizes.assign(cpu_seconds=3 * sizes["rows"] ** 1.1 * sizes["columns"] ** 0.8)

    assert exponents(table) == pytest.approx({"rows": 1.1, "columns": 0.8})
    assert exponents(table[table["columns"] == 5]) == pytest.approx({"rows": 1.1})


def test_made_tables_have_a_signal_at_both_parties(tmp_path: Path) -> None:
    write_tables(tmp_path, rows=3_000, columns=7)
    bank, partner = (
        pd.read_csv(tmp_path / party / "table.csv").set_index("id") for party in ("bank", "partner")
    )

    assert partner.shape == (3_000, 7)
    assert set(bank.index) == set(partner.index)
    assert not bank.index.equals(partner.index)
    labels = bank.pop("default")
    for columns in (bank, partner.loc[bank.index]):
        assert 0.65 < roc_auc_score(labels, columns.sum(axis=1)) < 0.9


def test_every_action_of_boosting_has_its_phase() -> None:
    costs = {f"cpu_seconds.train.{action}": 1.0 for actions in PHASES.values() for action in actions}
    costs |= {"cpu_seconds": 99.0, "seconds": 99.0}

    assert {phase: phase_seconds(costs, phase) for phase in PHASES} == {
        phase: len(actions) for phase, actions in PHASES.items()
    }
