"""Every contender that needs no federation, trained on the joined table or on the bank's part of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from experiments import baselines
from experiments.baselines import Fitted
from experiments.joined import Joined, read_true_pd
from fl.banks.grid import Schema
from fl.banks.program import Rows
from fl.blend import BLEND
from fl.config.run import TrainingConfig
from fl.evaluation import Columns
from fl.protocols import conversation_of
from fl.reserve import RESERVE
from fl.splits import Roles
from fl.tables import Table

Floats = NDArray[np.float64]
Curve = list[dict[str, float]]

OF_BANKS = ("pooled-banks", "pooled-hybrid")
"""Who would need the rows of several banks for the model that they train together, without and with partners."""
YARDSTICKS = ("bank-only-trees", "pooled-trees", "true-pd")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A contender under one seed: PDs (n,) of all rows, what it took, its curve, and tables for its evaluation."""

    pd: Floats
    costs: Mapping[str, float]
    curve: Curve = field(default_factory=list)
    tables: Mapping[str, Columns] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Reserve(Trained):
    """The bank's own boosting under a seed, with the log odds (n,) of all rows."""

    log_odds: Floats


@dataclass(frozen=True, kw_only=True)
class Banks:
    """What several banks train on together: the rows of each, the passive parties' tables of them, and the columns."""

    rows: Sequence[Rows]
    partners: Sequence[Mapping[str, Table]]
    schema: Schema


class Baselines:
    """Trains contenders under one seed. The bank's own boosting is trained once, by the federation if there was one.

    banks gives what each of several banks has, for what they train together.
    """

    def __init__(
        self,
        joined: Joined,
        roles: Roles,
        seed: int,
        config: TrainingConfig,
        reserve: Reserve | None = None,
        banks: Callable[[], Banks] | None = None,
    ) -> None:
        self._joined, self._roles, self._seed, self._config = joined, roles, seed, config
        self._reserve, self._banks = reserve, banks
        self._log_odds: dict[str, Floats] = {}  # of the models so far, without the reserve model

    @property
    def reserve(self) -> Reserve:
        """The bank's own boosting."""
        if self._reserve is None:
            began = time.perf_counter(), time.process_time()
            fitted = self._fitted(RESERVE, self._joined.of_bank())
            self._reserve = Reserve(
                log_odds=fitted.log_odds,
                pd=expit(fitted.log_odds),
                curve=fitted.curve,
                costs=_costs_since(*began),
            )
        return self._reserve

    def train(self, contender: str) -> Trained:
        """A contender of this seed, timed without the reserve model that has a say in it.

        A blend is one of the models that were trained before it. Raises ProtocolError if there are too few.
        """
        if contender == RESERVE:
            self._log_odds[RESERVE] = self.reserve.log_odds
            return self.reserve
        of_banks = contender.startswith(("bank-only-", "pooled-banks-"))
        seen = self._joined.of_bank() if of_banks else self._joined
        began = time.perf_counter(), time.process_time()
        if contender in (*YARDSTICKS, "pooled-banks-trees"):
            pd, curve = self._yardstick(contender, seen)
            return Trained(pd=pd, curve=curve, costs=_costs_since(*began))
        fitted = self._fitted(contender, seen)
        costs = _costs_since(*began)
        self._log_odds[contender] = fitted.log_odds
        log_odds = self._with_reserve(contender, seen, fitted.log_odds)
        return Trained(pd=expit(log_odds), curve=fitted.curve, tables=fitted.tables, costs=costs)

    def _fitted(self, contender: str, seen: Joined) -> Fitted:
        owner, _, algorithm = contender.rpartition("-")
        settings = self._config.sections[algorithm]
        if owner in OF_BANKS and self._banks is not None:
            of_banks = import_module(f"{baselines.__name__}.{owner.removeprefix('pooled-')}_{algorithm}")
            banks = self._banks()
            with_partners = [banks.partners, {party: seen.signs(party) for party in seen.coverage}]
            told = [banks.rows, *(with_partners if seen.coverage else ()), banks.schema]
            return cast(Fitted, of_banks.train(*told, self._seed, settings))
        twin = import_module(f"{baselines.__name__}.{algorithm}")
        if algorithm != BLEND:
            return cast(Fitted, twin.train(seen, self._roles, self._seed, settings))
        names = [f"{owner}-{name}" for name in settings.members]
        members = {name: self._log_odds[name] for name in names if name in self._log_odds}
        return cast(Fitted, twin.train(members, self._joined.labels, self._roles, self._seed))

    def _yardstick(self, contender: str, seen: Joined) -> tuple[Floats, Curve]:
        if contender == "true-pd":
            return read_true_pd(self._config.data_folder, self._joined.applications.ids), []
        # Not above: scikit-learn takes seconds to import, and many studies do without.
        from experiments.baselines.trees import train_trees

        return train_trees(seen.frame(), self._joined.labels, self._roles, self._seed)

    def _with_reserve(self, contender: str, seen: Joined, log_odds: Floats) -> Floats:
        """The same, but the mean with the reserve model's for whom no passive party knows, as in the federation."""
        scorer = conversation_of(f"federated-{contender.rpartition('-')[2]}").half("clients")
        if scorer.ANSWERS_ALL or not seen.coverage or not seen.unknown.any():
            return log_odds
        return np.where(seen.unknown, (log_odds + self.reserve.log_odds) / 2, log_odds)


def _costs_since(wall: float, cpu: float) -> dict[str, float]:
    """The seconds since those of the wall clock and of this process's CPU, and no messages."""
    return {
        "round_trips": 0,
        "bytes_up": 0,
        "bytes_down": 0,
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
    }
