"""What the tax bureau records: VAT invoices issued and received, and the monthly returns.

Invoices show what was really sold and bought, except the share of sales without invoice; they come in
lumps, since several months' deliveries are often invoiced at once. A firm short of cash leaves taxes unpaid
before anything else. Private loans never pass here: bank inflow above declared revenue is their trace,
visible to no party alone.
"""

from __future__ import annotations

import numpy as np

from synthetic_data.arithmetic import exp
from synthetic_data.observer import Observer, Rows, Scene, logistic, money, share
from synthetic_data.roster import Book, Roster

LUMPS = 0.90
"""Log standard deviation by which a month's invoices differ from its deliveries."""
VAT_BURDEN, PROFIT_TAX = 0.02, 0.2
"""Tax on sales net of deductions (share of invoiced sales, mean), and on the profit that is declared."""
INVOICES_PER_CUSTOMER, INVOICES_PER_SUPPLIER = 0.45, 0.4
"""A month's invoices to a customer of the year, and from a supplier."""
VOID, RED_LETTER = 0.073, 0.035
"""Shares of invoices that are void, and red-letter (reversed), in a firm of average management without
strain."""


class TaxRecords(Observer):
    """Keeps ``invoices`` and ``returns``."""

    folder = "tax"

    def __init__(self, roster: Roster, book: Book, rng: np.random.Generator) -> None:
        """Draws the errors that stay with each business."""
        super().__init__(roster, book, rng)
        self.margin_error = self.opinion(0.015)
        self.burden = self.lasting(0.25)
        self.void = self.lasting(0.5)
        self.red = self.lasting(0.6)
        self.recorded_arrears = self.lasting(0.25)
        self.punctuality = self.opinion(0.6)

    def record(self, scene: Scene) -> dict[str, Rows]:
        """Rows of both tables."""
        rows, firms, flows, used = scene.rows, scene.firms, scene.flows, scene.stretch
        invoiced = (1 - firms.undeclared) * flows.sales * firms.scale
        sales = invoiced * self.passing(scene, LUMPS)
        purchases = flows.sales * firms.scale * (1 - firms.margin + self.margin_error[rows]).clip(0.1, 1)
        profit = np.maximum(firms.margin * flows.sales - firms.fixed * scene.state.habit, 0) * firms.scale
        growth = exp(0.7 * (scene.state.demand + scene.cycle))
        customers = np.maximum(np.round(firms.customers * growth * self.passing(scene, 0.05)), 1)
        sales_number = np.maximum(self.count(INVOICES_PER_CUSTOMER * customers * flows.sales + 1), 1)
        invoices = {
            "sales_number": sales_number,
            "sales_amount": money(sales),
            "void_share": share(
                self._rate(
                    scene, VOID * self.void[rows] * exp(0.5 * used - 0.15 * firms.quality), sales_number
                )
            ),
            "red_letter_share": share(
                self._rate(
                    scene,
                    RED_LETTER * self.red[rows] * exp(0.6 * used - 0.15 * firms.quality),
                    sales_number,
                )
            ),
            "customers": customers.astype(np.int32),
            "largest_customer_share": share(scene.largest_customer + self.wobble(scene, 0.02)),
            "purchase_number": self.count(INVOICES_PER_SUPPLIER * firms.suppliers * flows.sales),
            "purchase_amount": money(purchases * self.passing(scene, LUMPS)),
            "suppliers": np.maximum(np.round(firms.suppliers * growth * (1 - 0.25 * used)), 1).astype(
                np.int32
            ),
        }
        late = logistic(-3.0 - 0.5 * firms.quality + 2.2 * used + self.punctuality[rows])
        returns = {
            "declared_revenue": money(invoiced * self.passing(scene, 0.12)),
            "tax_due": money(VAT_BURDEN * self.burden[rows] * invoiced + PROFIT_TAX * profit),
            "arrears": money(
                firms.scale
                * firms.tax_part
                * scene.shortfall
                * self.recorded_arrears[rows]
                * self.passing(scene, 0.2)
            ),
            "filed_late": (self.rng.random(len(rows)) < late).astype(np.int8),
        }
        return {"invoices": (rows, invoices), "returns": (rows, returns)}

    def _rate(self, scene: Scene, rate: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Observed share of ``number`` invoices when each has that chance."""
        return self.rng.binomial(number, np.clip(rate, 0, 0.9)) / number
