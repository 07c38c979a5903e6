import re
from pathlib import Path

import pandas as pd
import pytest

from clients.data.declaration import read_declaration, schema_hash
from clients.parties import open_party
from experiments.dataset import open_dataset
from experiments.economies import banks_of, economy, write_economy
from fl.errors import ConfigError
from synthetic_data import STANDARD, Banks
from synthetic_data.firms import REGIONS


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


def test_several_banks_declare_the_same_columns_and_levels(tmp_path: Path) -> None:
    write_economy(tmp_path / "new", 400, "base", 1, False, banks=Banks((0.8, 0.2), skew="region"))
    opened = [open_party(tmp_path / "new" / bank) for bank in ("bank_a", "bank_b")]
    assert len({schema_hash(party.declaration) for party in opened}) == 1
    for party in opened:
        regions = party.matrix(party.applications().index.to_numpy(str))["region"]
        assert regions.cat.categories.tolist() == [*REGIONS, "other"]
        assert regions.isin(REGIONS).all()
    dataset = open_dataset(tmp_path / "new", ("bank_b", "tax"))
    assert dataset.facts.rows == 80
    assert 70 < dataset.known["tax"] <= 80  # and not all who have an account


@pytest.mark.parametrize(
    ("count", "shares", "message"),
    [
        (3, "0.7,0.3", "2 shares do not fit --banks 3; give a share for each bank, or none for equal ones."),
        (2, "most,few", "numbers with commas, such as 0.7,0.2,0.1; not 'most,few'."),
        (0, "", "1 to 26 banks; 0 were asked for"),
    ],
)
def test_shares_that_do_not_fit_are_refused(count: int, shares: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        banks_of(count, shares, "none")


def test_without_shares_banks_are_alike() -> None:
    assert banks_of(4, "", "sector") == Banks((0.25,) * 4, "sector")
