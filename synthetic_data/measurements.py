"""Measures on a generated economy what the table of `facts` states.

``python -m synthetic_data.measurements 6000`` prints the table with the measured values.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from synthetic_data import calendar
from synthetic_data.dataset import generate
from synthetic_data.economy import Economy
from synthetic_data.facts import FACTS
from synthetic_data.network import Network
from synthetic_data.worlds import WORLDS

SEGMENTS = ("sector", "region", "area", "size", "ownership", "first_time_borrower")


def measure(folder: Path, businesses: int, seed: int) -> dict[str, float]:
    """Measure every fact on the dataset in ``folder`` and on an economy of the same size."""
    return measure_records(folder) | measure_population(businesses, seed)


def measure_records(folder: Path) -> dict[str, float]:
    """The facts that a dataset's records show."""
    applications = pd.read_parquet(folder / "bank" / "applications.parquet")
    invoices = pd.read_parquet(folder / "tax" / "invoices.parquet")
    orders = pd.read_parquet(folder / "supply_chain" / "orders.parquet", columns=["business_id"])
    ids = applications["business_id"]
    rates = pd.concat([applications.groupby(name)["default"].mean() for name in SEGMENTS])
    invoices = invoices.merge(applications[["business_id", "observation_month"]])
    invoices = invoices[invoices["month"] <= invoices["observation_month"]]
    year = invoices[invoices["month"] > invoices["observation_month"] - pd.DateOffset(months=12)]
    firms = year.groupby("business_id")
    by_firm = firms.agg(
        months=("month", "size"),
        sales=("sales_amount", "mean"),
        spread=("sales_amount", "std"),
        customers=("customers", "max"),
        suppliers=("suppliers", "max"),
        largest=("largest_customer_share", "mean"),
    )
    whole = by_firm[by_firm["months"] == 12]
    relative = year["sales_amount"] / year["business_id"].map(by_firm["sales"])
    season = relative.groupby(year["month"].dt.month).mean()
    found = {
        "default rate": applications["default"].mean(),
        "default rate, lowest segment": rates.min(),
        "default rate, highest segment": rates.max(),
        "first-time borrowers": (applications["first_time_borrower"] == "yes").mean(),
        "known to the tax bureau": ids.isin(invoices["business_id"]).mean(),
        "known to the platform": ids.isin(orders["business_id"]).mean(),
        "monthly sales, coefficient of variation": (whole["spread"] / whole["sales"]).median(),
        "largest customer, median": by_firm["largest"].median(),
        "void invoices": year["void_share"].mean(),
        "red-letter invoices": year["red_letter_share"].mean(),
        "sales in January": season[1],
        "sales in February": season[2],
        "sales in December": season[12],
    }
    for name, values in (
        ("annual sales", 12e-6 * whole["sales"]),
        ("customers", by_firm["customers"]),
        ("suppliers", by_firm["suppliers"]),
    ):
        for percentile in (10, 50, 90):
            found[f"{name}, p{percentile}"] = np.percentile(values, percentile)
    return {name: float(value) for name, value in found.items()}


def measure_population(businesses: int, seed: int) -> dict[str, float]:
    """The facts about the population and its network, which no single party sees."""
    economy = Economy(businesses, WORLDS["base"], np.random.SeedSequence(seed))
    exits = []
    for present in economy.months():
        exits.append((present.failed | present.closed).mean())
        if present.month == calendar.LAST_OBSERVATION:
            break
    # In a population of constant size the mean life is its size over the exits of a month (Little's law).
    life = 1 / np.mean(exits[calendar.BURN_IN :])
    return {
        "mean life of a firm": float(life),
        "link half-life": link_half_life(economy.network),
        "attachment exponent": attachment_exponent(economy.network),
    }


def link_half_life(network: Network) -> float:
    """Months after which half of the links are gone, from the share that one renewal removes."""
    before = _links(network)
    network.renew()
    return float(np.log(0.5) / np.log(np.isin(before, _links(network)).mean()))


def attachment_exponent(network: Network, months: int = 12) -> float:
    """Slope of log(new suppliers of a node) on log(suppliers before + 1), nodes grouped by degree."""
    degrees, gains = [], []
    for _ in range(months):
        before, links = network.suppliers_of(), _links(network)
        network.renew()
        new = ~np.isin(_links(network), links)
        degrees.append(before)
        gains.append(np.bincount(network.customer[new], minlength=network.nodes))
    degree, gain = np.concatenate(degrees) + 1, np.concatenate(gains)
    groups = pd.DataFrame({"degree": degree, "gain": gain}).groupby(np.floor(2 * np.log2(degree)))
    means = groups.agg(degree=("degree", "mean"), gain=("gain", "mean"), total=("gain", "sum"))
    means = means[means["total"] >= 30]
    weights = np.sqrt(means["total"])
    return float(np.polyfit(np.log(means["degree"]), np.log(means["gain"]), 1, w=weights)[0])


def _links(network: Network) -> np.ndarray:
    """Links as single numbers."""
    return network.supplier.astype(np.int64) * network.nodes + network.customer


def main(businesses: int = 6000, seed: int = 1) -> None:
    """Print the facts, their ranges and what is measured, as a Markdown table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "facts"
        generate(folder, businesses, "base", seed, truth=False)
        measured = measure(folder, businesses, seed)
    print("| fact | target | accepted | measured | unit | source |\n| --- | --- | --- | --- | --- | --- |")
    for name, value, low, high, unit, source in FACTS:
        print(f"| {name} | {value:g} | {low:g} to {high:g} | {measured[name]:.3g} | {unit} | {source} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
