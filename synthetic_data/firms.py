"""The firms: what a firm is when it is founded and stays until it closes.

Amounts of a firm are counted in months of its own normal sales, so that a street shop and a factory obey
the same equations; ``scale`` (CNY a month) turns them into money when a party records them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import ndtr

from synthetic_data.arithmetic import exp

SECTORS = (
    "agriculture",
    "manufacturing",
    "construction",
    "wholesale",
    "retail",
    "transport",
    "hospitality",
    "services",
)
REGIONS = ("east", "central", "west", "north-east")
SIZES = ("micro", "small", "medium")
OWNERSHIPS = ("individual", "private", "collective", "foreign")

MICRO_SALES, SMALL_SALES = 3e6, 20e6
"""Annual sales in CNY below which a firm counts as micro, and as small."""


@dataclass(frozen=True)
class SectorTraits:
    """What the firms of a sector have in common; one entry per name in ``SECTORS``."""

    share = (0.06, 0.22, 0.10, 0.18, 0.16, 0.08, 0.07, 0.13)
    """of all firms"""
    gross_margin = (0.26, 0.24, 0.22, 0.18, 0.23, 0.25, 0.31, 0.31)
    """(sales - purchases) / sales"""
    collection = (0.55, 0.46, 0.40, 0.50, 0.70, 0.52, 0.72, 0.52)
    """share of what is owed that customers in good order pay in a month"""
    cycle = (0.5, 1.2, 1.4, 1.1, 0.9, 1.0, 1.3, 0.8)
    """response of demand to the macro cycle"""
    profit = (0.002, 0.001, -0.003, 0.000, 0.000, 0.001, 0.002, 0.005)
    """net margin above the economy's mean"""
    platform = (0.45, 0.75, 0.60, 0.70, 0.50, 0.50, 0.30, 0.38)
    """share of firms that supply a core enterprise through the platform"""


TRAITS = SectorTraits()
REGION_SHARE = (0.45, 0.24, 0.22, 0.09)
REGION_PROFIT = (0.002, 0.0, -0.002, -0.004)
REGION_DIVISION = (330000, 420000, 510000, 210000)
"""Administrative divisions (GB/T 2260) from which the codes of a region start: Zhejiang, Hubei, Sichuan,
Liaoning."""
COUNTY_SHARE, COUNTY_PROFIT = 0.38, -0.002
OWNERSHIP_SHARE = (0.30, 0.60, 0.06, 0.04)

NET_MARGIN, NET_MARGIN_QUALITY, NET_MARGIN_NOISE = 0.0222, 0.016, 0.016
"""Mean net margin before finance (share of sales), the effect of one unit of management quality, and the
rest."""
INFORMAL_SHARE, INFORMAL_MEAN = 0.30, 1.0
"""Share of firms that owe to private lenders, and how much they owe (mean, months of sales)."""
CAPACITY_MEDIAN, CAPACITY_SPREAD = 0.8, 0.30
"""Emergency finance a firm can raise before it misses payments: months of sales, and log standard
deviation."""
VOLATILITY_MEDIAN, VOLATILITY_SPREAD = 0.11, 0.35
"""Standard deviation of the monthly cash shock (months of sales), and its own log standard deviation."""
EMERGENCY_PARTS = (0.9, 4.0, 4.0, 2.1)
"""Dirichlet weights of overdraft, unpaid tax, unpaid suppliers and private lenders in a shortfall's
finance."""
TAX_COVERAGE = (0.91, 0.965, 0.98, 0.98)
"""Share known to the tax bureau's electronic invoice system, by ownership."""


@dataclass
class Firms:
    """The population as arrays of shape (n,); a slot is reused when its firm has closed.

    Shares are of 1, margins of sales, stocks in months of normal sales.
    """

    serial: np.ndarray  # int64, never reused
    founded: np.ndarray  # int32 month
    sector: np.ndarray  # int8 index into SECTORS
    region: np.ndarray  # int8 index into REGIONS
    county: np.ndarray  # bool
    ownership: np.ndarray  # int8 index into OWNERSHIPS
    scale: np.ndarray  # CNY a month
    quality: np.ndarray  # management quality, standard normal
    margin: np.ndarray  # gross
    fixed: np.ndarray  # fixed cost when sales are normal, months of sales
    volatility: np.ndarray  # standard deviation of the monthly cash shock
    capacity: np.ndarray  # emergency finance that can be raised
    collection: np.ndarray  # share of what is owed that is paid in a month
    informal: np.ndarray  # debt to private lenders
    outside: np.ndarray  # weight of the customers outside the population against one linked customer
    overdraft_part: np.ndarray  # parts in which a shortfall is financed; the four add to 1
    tax_part: np.ndarray
    trade_part: np.ndarray
    private_part: np.ndarray
    undeclared: np.ndarray  # share of sales without invoice
    customers: np.ndarray  # number of customers in a year at normal demand
    suppliers: np.ndarray
    top_share: np.ndarray  # share of the largest customer outside the population
    bank_share: np.ndarray  # share of payments that run through the bank
    relationship: np.ndarray  # months after its founding at which the firm opened its account
    tax_known: np.ndarray  # bool
    platform: np.ndarray  # bool, supplies a core enterprise through the platform
    joined: np.ndarray  # int32 month in which it joined the platform

    def __len__(self) -> int:
        """Number of slots."""
        return len(self.serial)

    def take(self, slots: np.ndarray) -> Firms:
        """Copy of the firms in those slots."""
        return Firms(**{field.name: getattr(self, field.name)[slots] for field in fields(self)})

    @classmethod
    def concatenate(cls, groups: list[Firms]) -> Firms:
        """The firms of several groups in one."""
        return cls(
            **{f.name: np.concatenate([getattr(group, f.name) for group in groups]) for f in fields(cls)}
        )

    def put(self, slots: np.ndarray, newcomers: Firms) -> None:
        """Let the newcomers move into those slots."""
        for field in fields(self):
            getattr(self, field.name)[slots] = getattr(newcomers, field.name)

    @property
    def size(self) -> np.ndarray:
        """(n,) int8 index into ``SIZES`` by normal annual sales."""
        return np.digitize(12 * self.scale, [MICRO_SALES, SMALL_SALES]).astype(np.int8)


def found(count: int, month: int, first_serial: int, rng: np.random.Generator) -> Firms:
    """Found ``count`` firms in ``month``."""

    def pick(shares: tuple[float, ...]) -> np.ndarray:
        return rng.choice(len(shares), size=count, p=np.divide(shares, np.sum(shares))).astype(np.int8)

    def normal() -> np.ndarray:
        return rng.standard_normal(count, dtype=np.float32)

    def uniform() -> np.ndarray:
        return rng.random(count, dtype=np.float32)

    def by_sector(values: tuple[float, ...]) -> np.ndarray:
        return np.asarray(values, dtype=np.float32)[sector]

    sector, region, ownership = pick(TRAITS.share), pick(REGION_SHARE), pick(OWNERSHIP_SHARE)
    county = uniform() < COUNTY_SHARE
    quality, size = normal(), normal()
    margin = np.clip(by_sector(TRAITS.gross_margin) * exp(0.18 * normal()), 0.08, 0.6)
    informal = np.where(
        uniform() < INFORMAL_SHARE, rng.standard_exponential(count, np.float32) * INFORMAL_MEAN, 0
    )
    profit = (
        NET_MARGIN
        + NET_MARGIN_QUALITY * quality
        + NET_MARGIN_NOISE * normal()
        + by_sector(TRAITS.profit)
        + np.asarray(REGION_PROFIT, dtype=np.float32)[region]
        + COUNTY_PROFIT * county
    )
    parts = rng.gamma(np.reshape(EMERGENCY_PARTS, (4, 1)), size=(4, count)).astype(np.float32)
    parts /= parts.sum(axis=0)
    reach = 0.6 * size + 0.8 * normal()
    firms = Firms(
        serial=first_serial + np.arange(count, dtype=np.int64),
        founded=np.full(count, month, dtype=np.int32),
        sector=sector,
        region=region,
        county=county,
        ownership=ownership,
        scale=two_piece(size, 0.36e6, 8.3e6, 88e6) / 12,
        quality=quality,
        margin=margin,
        fixed=np.maximum(margin - profit, 0.01),
        volatility=VOLATILITY_MEDIAN * exp(VOLATILITY_SPREAD * normal()),
        capacity=CAPACITY_MEDIAN * exp(CAPACITY_SPREAD * normal()),
        collection=np.clip(by_sector(TRAITS.collection) * exp(0.15 * normal()), 0.2, 0.9),
        informal=np.minimum(informal, 4),
        outside=0.8 + 2.2 * rng.standard_exponential(count, np.float32),
        overdraft_part=parts[0],
        tax_part=parts[1],
        trade_part=parts[2],
        private_part=parts[3],
        undeclared=np.clip(0.06 + 0.10 * uniform() + 0.15 * (uniform() < 0.25) * uniform(), 0, 0.5),
        customers=np.maximum(two_piece(reach, 4.2, 31, 255), 1),
        suppliers=np.maximum(two_piece(0.5 * size + 0.87 * normal(), 5.3, 84, 560), 1),
        top_share=ndtr(-1.15 - 0.35 * reach + 0.55 * normal()),
        bank_share=rng.beta(4.0, 3.0, count),
        relationship=(1 + 30 * uniform() ** 2).astype(np.int32),
        tax_known=uniform() < np.asarray(TAX_COVERAGE)[ownership],
        platform=uniform() < by_sector(TRAITS.platform),
        joined=month + (1 + 24 * uniform() ** 2).astype(np.int32),
    )
    for field in fields(firms):
        values = getattr(firms, field.name)
        if values.dtype == np.float64:
            setattr(firms, field.name, values.astype(np.float32))
    return firms


def two_piece(standard: np.ndarray, low: float, median: float, high: float) -> np.ndarray:
    """Log-normal with another spread below its median than above, so that p10, p50 and p90 are as given.

    Args:
        standard: standard normal values, one per firm.
        low: 10th percentile.
        median: 50th percentile.
        high: 90th percentile.

    Returns:
        Values of the shape of ``standard``, clipped to four decades around the median.
    """
    quantile = 1.2816
    spread = np.where(standard < 0, np.log(median / low), np.log(high / median)) / quantile
    return median * np.exp(np.clip(spread * standard, -4.6, 4.6))
