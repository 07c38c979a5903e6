from pathlib import Path

import pandas as pd
import pytest

from clients.data.declaration import read_declaration
from experiments.dataset import open_dataset
from experiments.economies import economy, write_economy
from fl.errors import ConfigError
from synthetic_data import STANDARD


def test_an_economy_lasts_as_long_as_it_is_used() -> None:
    with economy("recession", 3, 300) as dataset:
        assert dataset.world == "recession"
        assert sorted(dataset.parties) == sorted(STANDARD)
        assert dataset.facts.rows == 300
        folder = dataset.folder
    assert not folder.parent.exists()


def test_a_file_that_differs_from_what_was_simulated_is_named() -> None:
    with economy("base", 3, 200) as dataset:
        assert dataset.facts.changed == ()
        assert {file.split("/")[0] for file in dataset.facts.files} == set(STANDARD)
        path = dataset.folder / "tax" / "returns.parquet"
        returns = pd.read_parquet(path)
        returns["arrears"] += 1
        returns.to_parquet(path, index=False)
        assert open_dataset(dataset.folder).facts.changed == ("tax/returns.parquet",)
        assert open_dataset(dataset.folder, ("bank", "supply_chain")).facts.changed == ()


def test_every_party_is_declared(tmp_path: Path) -> None:
    steps: list[str] = []
    write_economy(tmp_path / "new", 300, "base", 1, False, lambda label, done, total: steps.append(label))
    assert {read_declaration(tmp_path / "new" / party).type for party in STANDARD} == set(STANDARD)
    assert steps


def test_an_unknown_world_leaves_nothing() -> None:
    with pytest.raises(ConfigError, match="world"), economy("moon", 1, 300):
        pass
