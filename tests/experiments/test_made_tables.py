from pathlib import Path

import pandas as pd
from sklearn.metrics import roc_auc_score

from experiments.made_tables import write_tables


def test_made_tables_have_a_signal_at_both_parties(tmp_path: Path) -> None:
    write_tables(tmp_path, 3_000, {"bank": 5, "partner": 7})
    bank, partner = (
        pd.read_csv(tmp_path / party / "table.csv").set_index("id") for party in ("bank", "partner")
    )

    assert partner.shape == (3_000, 7)
    assert set(bank.index) == set(partner.index)
    assert not bank.index.equals(partner.index)
    labels = bank.pop("default")
    for columns in (bank, partner.loc[bank.index]):
        assert 0.65 < roc_auc_score(labels, columns.sum(axis=1)) < 0.9


def test_made_tables_have_the_bad_rate_that_is_asked_for(tmp_path: Path) -> None:
    write_tables(tmp_path, 10_000, {"bank": 15, "tax": 15, "utility": 1}, bads=0.0017)

    bank, tax, utility = (pd.read_csv(tmp_path / party / "table.csv") for party in ("bank", "tax", "utility"))
    assert bank["default"].sum() == 17
    assert (tax.shape, utility.shape) == ((10_000, 16), (10_000, 2))  # beside the columns: the id
