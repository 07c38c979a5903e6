"""Several banks divide the customers of one."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fl.errors import ConfigError
from synthetic_data import WORLDS, Banks, generate
from synthetic_data.banks import BY_CHANCE, SECOND_ACCOUNT
from synthetic_data.digests import digests
from synthetic_data.economy import Economy
from synthetic_data.roster import rehearse

BUSINESSES = 4000  # as many as those of the one bank in the fixture `dataset`
SHARES = (0.7, 0.2, 0.1)
BANKS = ("bank_a", "bank_b", "bank_c")


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("economy") / "several"
    generate(folder, BUSINESSES, "base", seed=1, truth=False, banks=Banks(SHARES, skew="region"))
    return folder


def tables(folder: Path, name: str) -> dict[str, pd.DataFrame]:
    return {bank: pd.read_parquet(folder / bank / f"{name}.parquet") for bank in BANKS}


def accounts(folder: Path, at_their_bank: bool) -> pd.DataFrame:
    """The rows of the accounts of those who apply at the bank that keeps them, or of the others."""
    applied = tables(folder, "applications")
    kept = tables(folder, "accounts").items()
    return pd.concat(
        account[account["business_id"].isin(applied[bank]["business_id"]) == at_their_bank]
        for bank, account in kept
    )


def test_every_applicant_applies_at_one_bank_and_the_shares_are_exact(several: Path) -> None:
    applied = tables(several, "applications")
    assert [len(table) for table in applied.values()] == [2800, 800, 400]
    assert pd.concat(applied.values())["business_id"].is_unique


def test_together_the_banks_have_the_records_of_the_one_bank(dataset: Path, several: Path) -> None:
    key = ["business_id", "month"]
    one = pd.read_parquet(dataset / "bank" / "accounts.parquet").sort_values(key, ignore_index=True)
    pd.testing.assert_frame_equal(
        accounts(several, at_their_bank=True).sort_values(key, ignore_index=True), one
    )
    applied = pd.concat(tables(several, "applications").values()).set_index("business_id")
    pd.testing.assert_frame_equal(
        applied,
        pd.read_parquet(dataset / "bank" / "applications.parquet")
        .set_index("business_id")
        .loc[applied.index],
    )


def test_no_other_party_notices_how_many_banks_there_are(dataset: Path, several: Path) -> None:
    one, other = digests(dataset), digests(several)
    assert {
        file: digest for file, digest in one.items() if file.split("/")[0] in ("tax", "supply_chain")
    } == {file: digest for file, digest in other.items() if file.split("/")[0] in ("tax", "supply_chain")}


def test_the_truth_says_who_applies_where(several: Path) -> None:
    truth = pd.read_parquet(several / "truth" / "applicants.parquet").set_index("business_id")["bank"]
    for bank, table in tables(several, "applications").items():
        assert (truth[table["business_id"]] == bank).all()


def test_some_firms_have_a_second_bank_that_sees_the_rest(several: Path) -> None:
    truth = pd.read_parquet(several / "truth" / "applicants.parquet").set_index("business_id")
    second = accounts(several, at_their_bank=False)
    assert second["business_id"].nunique() / BUSINESSES == pytest.approx(SECOND_ACCOUNT, abs=0.025)
    assert not second.duplicated(["business_id", "month"]).any()
    both = accounts(several, at_their_bank=True).merge(
        second, on=["business_id", "month"], suffixes=("", "_second")
    )
    now = both[both["month"] == truth["observation_month"].loc[both["business_id"]].to_numpy()]
    hidden = truth.loc[now["business_id"]]
    known = (now["debt"] > 0).to_numpy()  # first-time borrowers have had no loan before
    owed = (now["debt"] + now["debt_second"]).to_numpy()
    np.testing.assert_allclose(
        owed[known], (hidden["debt"] * hidden["scale"]).to_numpy()[known], atol=2, rtol=1e-6
    )
    # Where little of the payments runs through the one bank, much runs through the other.
    assert (
        np.corrcoef(hidden["bank_share"], np.log1p(now["inflow"]) - np.log1p(now["inflow_second"]))[0, 1]
        > 0.5
    )


def test_banks_differ_in_what_firms_choose_by() -> None:
    economy = Economy(1200, WORLDS["base"], np.random.SeedSequence(5))
    roster = rehearse(economy, np.random.default_rng(0), lambda: None)
    region = roster.firms.region[roster.applicant]

    def apart(skew: str, kinds: np.ndarray) -> float:
        """Total variation between the customers of the first and the last bank: 0 is alike, 1 has nothing in common."""
        first = Banks((0.5, 0.3, 0.2), skew).choose(roster, np.random.default_rng(1)).first
        assert (first[~roster.applicant] == -1).all()
        largest, smallest = (
            np.bincount(kinds[first[roster.applicant] == bank], minlength=8) for bank in (0, 2)
        )
        return 0.5 * float(np.abs(largest / largest.sum() - smallest / smallest.sum()).sum())

    assert apart("none", region) < 0.1
    assert apart("region", region) == pytest.approx(1 - BY_CHANCE, abs=0.1)
    assert apart("sector", roster.firms.sector[roster.applicant]) == pytest.approx(1 - BY_CHANCE, abs=0.1)
    assert apart("sector", region) < 0.1


def test_the_dataset_says_how_its_banks_divide_it(several: Path, dataset: Path) -> None:
    note, one = (tomllib.loads((folder / "dataset.toml").read_text("utf-8")) for folder in (several, dataset))
    assert note["parties"] == [*BANKS, "tax", "supply_chain"]
    assert note["banks"] == {"names": list(BANKS), "shares": list(SHARES), "skew": "region"}
    assert note["files"] == digests(several)
    assert note["name"] != one["name"]
    assert "banks" not in one


@pytest.mark.parametrize(
    ("shares", "skew", "message"),
    [
        ((0.7, 0.2), "none", "add up to 1; they are 0.7, 0.2."),
        ((1.2, -0.2), "none", "have to be positive"),
        ((1 / 27,) * 27, "none", "has 1 to 26 banks; 27 were asked for"),
        ((), "none", "1 to 26 banks; 0 were asked for"),
        ((0.5, 0.5), "regio", "Did you mean 'region'?"),
        ((1.0,), "sector", "One bank has all firms, so none chooses by sector; ask for several banks."),
    ],
)
def test_impossible_banks_are_refused(shares: tuple[float, ...], skew: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Banks(shares, skew)


def test_a_bank_with_hardly_an_applicant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="bank_b would have 9 of 300 applicants, and each of several banks needs 20"
    ):
        generate(tmp_path / "new", 300, "base", 1, truth=False, banks=Banks((0.97, 0.03)))
