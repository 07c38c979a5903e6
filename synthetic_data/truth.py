"""What only the generator knows: each applicant's latent state, its fate, and its true probability of
default.

The futures that the latter takes are most of a generation's work, and those of each vintage are apart from all others:
they are computed by as many processes as there are cores.
"""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType

import numpy as np
import pandas as pd

from synthetic_data import calendar
from synthetic_data.cash_flow import stretch
from synthetic_data.economy import Month
from synthetic_data.futures import true_default_probabilities
from synthetic_data.roster import Roster


class Truth:
    """Gathers the truth of each vintage as the economy passes its observation month; to be closed (`with`)."""

    def __init__(self, roster: Roster, seeds: np.random.SeedSequence, with_futures: bool) -> None:
        """Truth of the roster's applicants; ``seeds`` are those of the futures, should they be wanted."""
        self.roster = roster
        self.seeds = iter(seeds.spawn(calendar.VINTAGES))
        self.vintages: list[pd.DataFrame] = []
        self.futures: list[Future[np.ndarray]] = []
        # Fresh processes rather than copies of this one, which may have threads: the same on every platform.
        fresh = multiprocessing.get_context("spawn")
        self.processes = ProcessPoolExecutor(mp_context=fresh) if with_futures else None

    def observe(self, present: Month) -> None:
        """Note the latent state of the applicants of this month, if it is an observation month."""
        if present.applications is None:
            return
        seeds = next(self.seeds)
        self.vintages.append(latent_state(present))
        if self.processes is not None:
            # The economy moves on while its futures are still waiting for a process.
            state = copy.deepcopy(present)
            self.futures.append(self.processes.submit(true_default_probabilities, state, seeds))

    def table(self, progress: Callable[[str, int, int], None]) -> pd.DataFrame:
        """One row per applicant in the roster's order, as `bank/applications`: id, month, outcome, latent
        state, after the futures of all vintages have ended."""
        for number, (latent, future) in enumerate(zip(self.vintages, self.futures, strict=False)):
            latent.insert(0, "true_pd", future.result())
            progress("Looking into the futures", number + 1, len(self.futures))
        applicants = np.flatnonzero(self.roster.applicant)
        identity = pd.DataFrame(
            {
                "business_id": self.roster.code[applicants],
                "observation_month": calendar.timestamps(self.roster.observed[applicants]),
                "default": self.roster.default[applicants].astype(np.int8),
            }
        )
        return pd.concat([identity, pd.concat(self.vintages, ignore_index=True)], axis=1)

    def __enter__(self) -> Truth:
        """Ready to observe."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the processes; futures that nobody waits for any more are dropped."""
        if self.processes is not None:
            self.processes.shutdown(cancel_futures=True)


def latent_state(present: Month) -> pd.DataFrame:
    """State and traits of the month's applicants before the loan: stocks in months of normal sales, `scale`
    in CNY."""
    firms, slot = present.applications.firms, present.applications.slot
    state = present.state.take(slot)
    return pd.DataFrame(
        {
            "scale": firms.scale,
            "quality": firms.quality,
            "net_margin": firms.margin - firms.fixed,
            "volatility": firms.volatility,
            "capacity": firms.capacity,
            "informal_debt": firms.informal,
            "bank_share": firms.bank_share,
            "liquidity": state.liquidity,
            "stretch": stretch(state.liquidity, firms.capacity),
            "debt": state.debt,
            "loan": present.applications.amount / firms.scale,
            "demand": state.demand + present.around.cycle[slot],
            "orders": state.orders + present.around.cycle[slot],
            "habit": state.habit,
            "receivables": state.owed,
            "overdue": state.overdue,
            "customer_lateness": present.around.lateness[slot],
        }
    )
