"""A trained forest at work: what a passive party tells of its splits, and what the bank makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_coverage, read_table
from clients.binned import read_binning, read_setup
from clients.evaluation import keep_scores
from clients.session import Session
from clients.store import Store
from fl.arrays import check_bytes, check_names
from fl.boosting import Array, Outcomes, OutcomesRequest, ScoreRequest, packed, unpacked
from fl.boosting.forest import Forest, Splits
from fl.calibration import Calibration
from fl.config import RunConfig
from fl.scoring import Scored
from fl.splits import TEST
from fl.tables import Table

_MODEL, _FOREST = "model", "forest/"
_OUTCOMES = "outcomes"


@dataclass(frozen=True)
class BankModel:
    """What the bank keeps of a forest: the trees, its own splits, how many splits it and each passive party has.

    scores (n,) are those of the rows that train or validate, before calibration.
    """

    forest: Forest
    own: Splits
    kept: NDArray[np.int64]
    base: float
    calibration: Calibration
    scores: NDArray[np.float64]

    def write(self, model: Store) -> None:
        """Keep it as the model."""
        trees = {_FOREST + name: array for name, array in self.forest.to_arrays().items()}
        own = {"columns": self.own.columns, "left": self.own.left, "kept": self.kept, "scores": self.scores}
        numbers = {
            "base": self.base,
            "slope": self.calibration.slope,
            "intercept": self.calibration.intercept,
        }
        model.write(_MODEL, {**trees, **own, **{name: np.array(value) for name, value in numbers.items()}})

    @classmethod
    def read(cls, model: Store) -> Self:
        """What `write` kept. Raises FileNotFoundError."""
        kept = model.read(_MODEL)
        trees = {name.removeprefix(_FOREST): kept[name] for name in kept if name.startswith(_FOREST)}
        return cls(
            Forest(**trees),
            Splits(kept["columns"], kept["left"]),
            kept["kept"],
            float(kept["base"]),
            Calibration(float(kept["slope"]), float(kept["intercept"])),
            kept["scores"],
        )


def keep_splits(model: Store, splits: Splits) -> None:
    """A passive party's part of the model."""
    model.write(_MODEL, {"columns": splits.columns, "left": splits.left})


def contribution(model: Store, table: Table, config: RunConfig) -> dict[str, Array]:
    """What a passive party adds to the score of the rows of a table: `Outcomes` of its splits."""
    kept = model.read(_MODEL)
    codes = read_binning(model).transform(table)
    return {_OUTCOMES: packed(Splits(kept["columns"], kept["left"]).outcomes(codes))}


def log_odds(
    model: Store,
    table: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
    contributions: Mapping[str, Mapping[str, Array]],
    config: RunConfig,
) -> NDArray[np.float64]:
    """At the bank: the log odds of default of the rows of a table, (n,), with every passive party's `contribution`."""
    found, rows = BankModel.read(model), len(table)
    check_names("outcomes", contributions, coverage)
    outcomes = [found.own.outcomes(read_binning(model).transform(table))]
    for party, count in zip(coverage, found.kept[1:], strict=True):
        check_names(f"contribution of {party}", contributions[party], [_OUTCOMES])
        bits = contributions[party][_OUTCOMES]
        check_bytes(f"outcomes of {party}", bits, (int(count), -(-rows // 8)))
        outcomes.append(unpacked(bits, rows))
    return found.calibration.log_odds(found.forest.score(found.base, outcomes, rows))


def outcomes(session: Session, request: OutcomesRequest) -> Outcomes:
    """Where the own splits send the test rows."""
    test = np.flatnonzero(read_setup(session).roles == TEST)
    table = read_table(session.study).take(test)
    return Outcomes(contribution(session.store, table, session.config)[_OUTCOMES])


def score(session: Session, request: ScoreRequest) -> Scored:
    """The PD of every position by the final forest, kept here, and its evaluation on the test rows."""
    setup, coverage = read_setup(session), read_coverage(session.study)
    model, test = BankModel.read(session.store), np.flatnonzero(setup.roles == TEST)
    contributions = {party: {_OUTCOMES: bits} for party, bits in request.outcomes.items()}
    table = read_table(session.study).take(test)
    found = np.empty(len(setup.roles))
    found[setup.positions] = model.calibration.log_odds(model.scores)
    found[test] = log_odds(session.store, table, coverage, contributions, session.config)
    tables = {"importance": importance(model.forest, [session.party.declaration.name, *coverage])}
    return keep_scores(session, found, setup.roles, tables)


def importance(forest: Forest, parties: list[str]) -> dict[str, NDArray[Any]]:
    """How much the columns of each party gain, by number: a table of party, column, splits and gain, best first."""
    found = dict(forest.importance())
    return {"party": np.array(parties, np.str_)[found.pop("owner")], **found}
