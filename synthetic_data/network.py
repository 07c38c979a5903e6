"""Who sells to whom: links from suppliers to the customers that lie within the population, and to core
enterprises.

Most counterparties of a firm lie outside the simulated population; its explicit links carry the part of its
sales through which distress travels. Links die with a half-life of 13 months, and new ones choose their
customer in proportion to (number of suppliers + 1)^1.08 (Hungarian VAT network, arXiv 2503.20594).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from synthetic_data.arithmetic import exp
from synthetic_data.firms import Firms

LINK_SURVIVAL = 0.5 ** (1 / 13)
"""Monthly: half of the links are gone after 13 months."""
ATTACHMENT = 1.08
"""Exponent of preferential attachment."""
LINKS_PER_FIRM = 2.2
"""Mean number of explicit customers of a firm."""
FIRMS_PER_CORE = 60
"""Firms to one core enterprise."""
CORE_WEIGHT = 1.8
"""Median weight of a platform firm's core enterprise in its sales, against 1 of an ordinary explicit
customer."""


class Network:
    """Links between the slots of the population (0 … n-1) and the core enterprises (n … n+cores-1)."""

    def __init__(self, firms: Firms, rng: np.random.Generator) -> None:
        """A network that has grown among these firms for two years."""
        self.firms = firms
        self.cores = max(8, len(firms) // FIRMS_PER_CORE)
        self.rng = rng
        self.core = np.zeros(len(firms), dtype=np.int32)
        self.core_weight = np.zeros(len(firms), dtype=np.float32)
        # Core enterprises differ in reach by a Zipf law.
        self._core_reach = np.cumsum(1.0 / np.arange(1, self.cores + 1) ** 0.7)
        self.supplier = np.empty(0, dtype=np.int32)
        self.customer = np.empty(0, dtype=np.int32)
        self.weight = np.empty(0, dtype=np.float32)
        self.enrol(np.arange(len(firms)))
        for _ in range(24):
            self.renew()

    @property
    def nodes(self) -> int:
        """Firms and core enterprises."""
        return len(self.firms) + self.cores

    def suppliers_of(self) -> np.ndarray:
        """(nodes,) number of explicit suppliers of each node."""
        degree = np.bincount(self.customer, minlength=self.nodes)
        return degree + np.bincount(self.core[self.firms.platform] + len(self.firms), minlength=self.nodes)

    def enrol(self, slots: np.ndarray) -> None:
        """Give the firms that just moved into the slots their core enterprise (used if they are on the
        platform)."""
        reach = self._core_reach
        self.core[slots] = np.searchsorted(reach, self.rng.random(len(slots)) * reach[-1]).clip(
            0, self.cores - 1
        )
        self.core_weight[slots] = CORE_WEIGHT * exp(
            0.5 * self.rng.standard_normal(len(slots), dtype=np.float32)
        )

    def renew(self) -> None:
        """Let a month's links die and as many be born."""
        keep = self.rng.random(len(self.supplier), dtype=np.float32) < LINK_SURVIVAL
        self._keep(keep)
        target = LINKS_PER_FIRM * len(self.firms)
        born = self.rng.poisson(max(target - len(self.supplier), 0) if len(self.supplier) else target)
        attraction = np.cumsum((self.suppliers_of() + 1.0) ** ATTACHMENT)
        supplier = self.rng.integers(len(self.firms), size=born, dtype=np.int32)
        drawn = self.rng.random(born) * attraction[-1]
        customer = np.searchsorted(attraction, drawn).clip(0, self.nodes - 1).astype(np.int32)
        weight = exp(0.7 * self.rng.standard_normal(born, dtype=np.float32))
        other = supplier != customer
        self.supplier = np.concatenate([self.supplier, supplier[other]])
        self.customer = np.concatenate([self.customer, customer[other]])
        self.weight = np.concatenate([self.weight, weight[other]])

    def drop(self, closed: np.ndarray) -> None:
        """Remove the links of closed firms; ``closed`` is a (n,) mask of slots."""
        gone = np.concatenate([closed, np.zeros(self.cores, dtype=bool)])
        self._keep(~(gone[self.supplier] | gone[self.customer]))

    def _keep(self, keep: np.ndarray) -> None:
        self.supplier, self.customer, self.weight = (
            self.supplier[keep],
            self.customer[keep],
            self.weight[keep],
        )

    def _denominator(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the core enterprises ((n,), 0 off the platform) and of all customers, outside ones
        included."""
        core = self.core_weight * self.firms.platform
        explicit = np.bincount(self.supplier, weights=self.weight, minlength=len(self.firms))
        return core, (self.firms.outside + core + explicit).astype(np.float32)

    def exposures(self) -> sparse.csr_matrix:
        """(n, nodes) matrix of the share of each supplier's sales that goes to each explicit customer."""
        core, total = self._denominator()
        n = len(self.firms)
        on = np.flatnonzero(self.firms.platform)
        rows = np.concatenate([self.supplier, on])
        columns = np.concatenate([self.customer, n + self.core[on]])
        shares = np.concatenate([self.weight / total[self.supplier], core[on] / total[on]])
        return sparse.csr_matrix((shares.astype(np.float32), (rows, columns)), shape=(n, self.nodes))
