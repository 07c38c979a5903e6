"""The worlds do what they say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from synthetic_data import calendar, generate
from synthetic_data.worlds import WORLDS, world_named

BUSINESSES = 2400


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("worlds")
    for world in WORLDS:
        generate(root / world, BUSINESSES, world, seed=4, truth=False)
    return {world: root / world for world in WORLDS}


def test_a_world_is_found_by_its_name() -> None:
    assert {name: world_named(name).name for name in WORLDS} == {name: name for name in WORLDS}


def test_an_unknown_world_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no world 'recesion'.*'recession'.*no-contagion"):
        world_named("recesion")


SIGNAL = {
    "base": (True, True),
    "no-tax-signal": (False, True),
    "no-supply-signal": (True, False),
    "no-partner-signal": (False, False),
    "no-contagion": (True, True),
    "recession": (True, True),
}


def at_application(folder: Path, table: str) -> pd.DataFrame:
    """Records of the observation month beside the latent state of the applicants."""
    truth = pd.read_parquet(folder / "truth" / "applicants.parquet")
    records = pd.read_parquet(folder / f"{table}.parquet")
    return truth.merge(
        records, left_on=["business_id", "observation_month"], right_on=["business_id", "month"]
    )


@pytest.mark.parametrize("world", WORLDS)
def test_arrears_and_deliveries_tell_strain_only_where_there_is_signal(
    worlds: dict[str, Path], world: str
) -> None:
    tax, supply = SIGNAL[world]
    returns = at_application(worlds[world], "tax/returns")
    orders = at_application(worlds[world], "supply_chain/orders")
    seen_by_tax = roc_auc_score(returns["stretch"] > 0, returns["arrears"])
    seen_by_platform = roc_auc_score(orders["stretch"] > 0, -orders["on_time_share"])
    assert seen_by_tax > 0.95 if tax else abs(seen_by_tax - 0.5) < 0.06
    assert seen_by_platform > 0.55 if supply else abs(seen_by_platform - 0.5) < 0.05


def test_the_size_class_is_still_the_businesss_own(worlds: dict[str, Path]) -> None:
    """Else a partner's turnover would give the world away, or take information from the size class."""
    seen = at_application(worlds["no-partner-signal"], "tax/returns")
    between = np.corrcoef(np.log(seen["declared_revenue"] + 1), np.log(seen["scale"]))[0, 1]
    assert 0.7 < between < 0.97


@pytest.mark.parametrize("table", ["tax/returns", "supply_chain/orders"])
def test_records_without_signal_look_as_before(worlds: dict[str, Path], table: str) -> None:
    base, silent = (at_application(worlds[name], table) for name in ("base", "no-partner-signal"))
    for column in pd.read_parquet(worlds["base"] / f"{table}.parquet").columns.drop(["business_id", "month"]):
        quartiles = np.percentile(base[column], [25, 50, 75])
        shares = [(silent[column] <= quartile).mean() for quartile in quartiles]
        expected = [(base[column] <= quartile).mean() for quartile in quartiles]
        assert shares == pytest.approx(expected, abs=0.06), column


@pytest.mark.parametrize("party", ["tax/returns", "supply_chain/orders"])
def test_without_signal_being_known_tells_nothing(worlds: dict[str, Path], party: str) -> None:
    folder = worlds["no-partner-signal"]
    truth = pd.read_parquet(folder / "truth" / "applicants.parquet")
    known = truth["business_id"].isin(pd.read_parquet(folder / f"{party}.parquet")["business_id"])
    for column in ("liquidity", "net_margin", "demand", "quality"):
        gap = truth.loc[known, column].mean() - truth.loc[~known, column].mean()
        noise = truth[column].std() * np.sqrt(1 / known.sum() + 1 / (~known).sum())
        assert abs(gap) < 3.5 * noise


def test_worlds_without_partner_signal_are_the_same_economy_to_the_bank(worlds: dict[str, Path]) -> None:
    for file in ("bank/accounts.parquet", "bank/applications.parquet", "truth/applicants.parquet"):
        assert (worlds["base"] / file).read_bytes() == (worlds["no-partner-signal"] / file).read_bytes()


def test_in_the_recession_only_the_out_of_time_vintages_turn_bad(worlds: dict[str, Path]) -> None:
    rates = {}
    for world in ("base", "recession"):
        applications = pd.read_parquet(worlds[world] / "bank" / "applications.parquet")
        month = applications["observation_month"].to_numpy().astype("datetime64[M]").astype(int)
        held_out = month > calendar.LAST_OBSERVATION - calendar.OUT_OF_TIME_VINTAGES
        early = month <= calendar.DOWNTURN_MONTH - 1 - calendar.PERFORMANCE_WINDOW + 6
        rates[world] = applications.loc[held_out, "default"].mean(), applications.loc[early, "default"].mean()
    assert rates["recession"][0] > 1.35 * rates["base"][0]
    assert rates["recession"][1] < 1.35 * rates["base"][1]


def test_without_contagion_customers_hardly_differ_in_lateness(worlds: dict[str, Path]) -> None:
    late = {
        world: pd.read_parquet(worlds[world] / "truth" / "applicants.parquet")["customer_lateness"]
        for world in ("base", "no-contagion")
    }
    assert late["no-contagion"].std() < 0.5 * late["base"].std()
