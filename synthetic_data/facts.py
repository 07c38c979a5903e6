"""The public facts that the economy reproduces: one table, with tolerances and sources.

`measurements.measure` measures each on a generated economy, and a test compares.
"""

from __future__ import annotations

from typing import NamedTuple

INVOICES = "VAT invoices of 425 Chinese small firms, 2017-2020 (CUMCM 2020, problem C)"
NETWORK = "Hungarian VAT network, arXiv 2503.20594"
LIFE = "People's Bank of China: small and micro firms live about three years"
CREDIT = "This project's target for small-business loans: 4-5 % overall, 2-8 % by segment"
DESIGN = "This project's own setting"


class Fact(NamedTuple):
    """A fact, and the range in which one generated economy of some thousand applicants has to lie.

    The range allows for sampling: a segment of 300 applicants has a default rate of 7 % give or take 1.5 %.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    source: str


FACTS: tuple[Fact, ...] = (
    Fact("default rate", 0.045, 0.036, 0.055, "of applicants", CREDIT),
    Fact("default rate, lowest segment", 0.03, 0.01, 0.05, "of applicants", CREDIT),
    Fact("default rate, highest segment", 0.07, 0.04, 0.095, "of applicants", CREDIT),
    Fact("first-time borrowers", 0.20, 0.17, 0.23, "of applicants", DESIGN),
    Fact("known to the tax bureau", 0.95, 0.93, 0.97, "of applicants", DESIGN),
    Fact("known to the platform", 0.55, 0.50, 0.60, "of applicants", DESIGN),
    Fact("monthly sales, coefficient of variation", 0.85, 0.75, 0.95, "median firm", INVOICES),
    Fact("annual sales, p10", 0.3, 0.2, 0.45, "CNY million", INVOICES),
    Fact("annual sales, p50", 6.5, 5.0, 8.0, "CNY million", INVOICES),
    Fact("annual sales, p90", 70.0, 50.0, 95.0, "CNY million", INVOICES),
    Fact("customers, p10", 5.0, 4.0, 6.5, "per firm", INVOICES),
    Fact("customers, p50", 36.0, 29.0, 43.0, "per firm", INVOICES),
    Fact("customers, p90", 300.0, 220.0, 400.0, "per firm", INVOICES),
    Fact("suppliers, p10", 6.0, 4.5, 8.0, "per firm", INVOICES),
    Fact("suppliers, p50", 90.0, 70.0, 110.0, "per firm", INVOICES),
    Fact("suppliers, p90", 650.0, 480.0, 850.0, "per firm", INVOICES),
    Fact("largest customer, median", 0.285, 0.25, 0.32, "of sales", INVOICES),
    Fact("void invoices", 0.075, 0.065, 0.085, "of invoices", INVOICES),
    Fact("red-letter invoices", 0.035, 0.02, 0.05, "of invoices", INVOICES),
    Fact("sales in January", 1.15, 1.03, 1.3, "of the year's mean", INVOICES),
    Fact("sales in February", 0.66, 0.5, 0.8, "of the year's mean", INVOICES),
    Fact("sales in December", 1.19, 1.05, 1.35, "of the year's mean", INVOICES),
    Fact("link half-life", 13.0, 11.0, 15.0, "months", NETWORK),
    Fact("attachment exponent", 1.08, 0.98, 1.18, "", NETWORK),
    Fact("mean life of a firm", 36.0, 30.0, 42.0, "months", LIFE),
)
