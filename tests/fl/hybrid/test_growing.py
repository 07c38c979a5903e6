"""Several banks' growers in a loop without messages: what they add up to, and the twin that grows from the rows."""

from dataclasses import dataclass

import numpy as np
import pytest

from clients.aligned import Applications
from experiments.baselines import Fitted, hybrid_boosting
from experiments.joined import Joined
from fl.banks.boosting import BANKS
from fl.banks.grid import Grid, Schema
from fl.banks.program import Rows as BankRows
from fl.binning import UNKNOWN, Binning
from fl.boosting.forest import LEAF
from fl.boosting.gradients import base_score, sampled_columns, sampled_rows
from fl.boosting.growth import Answer, Data, Passive
from fl.boosting.layouts import NOWHERE, children, roots
from fl.boosting.merging import merge, merged, unmerged
from fl.boosting.search import allowed
from fl.calibration import Calibration
from fl.config.boosting import BoostingConfig
from fl.hybrid.growing import Gathered, HybridGrower, Rows
from fl.records import decode, encode
from fl.splits import TEST, TRAIN, VALIDATION
from fl.sums import counts_by_node, sums_by_bin
from fl.tables import Table

SCHEMA = Schema(("a", "b"), ("kind",), (("coal", "food"),), ((), ()))
QUICK = {
    "trees": 6,
    "parallel": 2,
    "depth": 3,
    "min_leaf_count": 12,
    "min_bin_count": 8,
    "l2": 1.0,
    "ahead": "none",
}


@dataclass
class PassiveParty:
    """What a passive party does for one bank, in the clear: it merges bins and adds up, by the bank's own rows."""

    name: str
    binning: Binning
    codes: np.ndarray
    homes: np.ndarray | None = None

    def answer(self, grower: HybridGrower, layout) -> Answer:
        growth, config, data, shape = grower.growth, grower.config, grower.data, self.binning.shape
        trees = config.trees_of(growth.round)
        samples = sampled_rows(data.training, data.seed, trees, config.row_share)
        used = sampled_columns(len(shape), self.name, data.seed, trees, config.column_share)
        if growth.ahead:
            nodes, family, homes = roots(len(trees), len(data.labels)), 1, unmerged(len(trees), shape)
        else:
            split = growth.owners != LEAF
            nodes, family, homes = children(growth.nodes, split, growth.left), 2, self.homes[split]
        of_trees = np.repeat(layout.trees, family)
        counts = counts_by_node(self.codes, np.where(samples, nodes, NOWHERE), len(of_trees), shape.width)
        groups = merge(counts.reshape(-1, family, *counts.shape[1:]), homes, shape, config.min_merged_count)
        self.homes = np.repeat(groups, family, axis=0)
        codes, values = self.codes[layout.rows], growth.gradients[layout.rows]
        sums = sum(sums_by_bin(codes, values, of, len(layout.trees), shape.width) for of in layout.sums())
        candidates = [
            allowed(
                at_home,
                int((samples[tree] & (nodes[tree] == node)).sum()),
                home,
                shape,
                config.min_leaf_count,
                used[tree],
            )
            for node, (at_home, home, tree) in enumerate(
                zip(merged(counts, self.homes), self.homes, of_trees, strict=True)
            )
        ]
        return Answer(sums=merged(sums, groups), candidates=np.array(candidates), homes=self.homes)


class Bank:
    """One bank and what the passive parties do for it."""

    def __init__(self, rows, labels, roles, codes, shape, parties, config, base, all_rows) -> None:
        learned = rows[roles[rows] != TEST]
        self.positions, training = learned, roles[learned] == TRAIN
        self.parties = [PassiveParty(name, binning, of[learned]) for name, binning, of in parties]
        passive = [Passive(p.name, p.binning.shape, p.codes[:, 0] != UNKNOWN) for p in self.parties]
        data = Data(
            name=BANKS,
            labels=labels[learned],
            training=training,
            codes=codes[learned],
            shape=shape,
            passive=passive,
            seed=1,
            secret_generator=np.random.default_rng,
            base=base,
        )
        self.grower, self.demand = HybridGrower.begin_with(data, config, all_rows)

    def add(self) -> np.ndarray:
        grower = self.grower
        members = {party.name: np.zeros(grower.growth.nodes.shape, bool) for party in self.parties}
        for number, party in enumerate(self.parties, start=1):
            splits = self.demand.splits[party.name]
            outcomes = splits.outcomes(party.codes)
            pending = (grower.growth.owners == number) & ~grower.growth.decided
            for node, outcome in zip(np.flatnonzero(pending), outcomes, strict=True):
                members[party.name] |= (grower.growth.nodes == node) & outcome
        resolved = grower.resolve(members)
        answers = []
        if resolved.layout is not None:
            answers = [party.answer(grower, resolved.layout) for party in self.parties]
        addend = grower.gather(answers)
        # Between two messages all that a bank knows is in its records.
        self.grower = HybridGrower(
            grower.data,
            grower.config,
            decode(type(grower.growth), encode(grower.growth)),
            grower.all_rows,
            decode(Gathered, encode(grower.gathered)),
        )
        return addend

    def go_on(self, total: np.ndarray) -> np.ndarray | None:
        self.demand, losses = self.grower.advance_by(total)
        return losses


def economy(rows: int = 900) -> tuple[Joined, np.ndarray, np.ndarray]:
    """Three banks' rows in one table, 60, 30 and 10 percent, with two passive parties: the roles and the banks."""
    rng = np.random.default_rng(4)
    risk, tables = np.zeros(rows), {}
    for name, share in (("bank", 1.0), ("supply", 0.6), ("tax", 0.9)):
        numeric = rng.normal(size=(rows, 2))
        risk += numeric[:, 0] + np.abs(numeric[:, 1])
        numeric[rng.random(numeric.shape) < 0.15] = np.nan
        codes = rng.integers(-1, 2, (rows, 1)).astype(np.int32)
        known = rng.random(rows) < share
        numeric[~known], codes[~known] = np.nan, -1
        tables[name] = Table(numeric, ("a", "b"), codes, ("kind",), (("coal", "food"),), known)
    noisy = risk + rng.logistic(size=rows)
    labels = (noisy > np.quantile(noisy, 0.7)).astype(np.int8)
    months = np.full(rows, "NaT", "datetime64[M]")
    applications = Applications(ids=np.arange(rows).astype(str), labels=labels, months=months, segments={})
    coverage = {name: tables[name].known for name in ("supply", "tax")}
    roles = rng.choice(np.array([TRAIN, VALIDATION, TEST], np.int8), rows, p=[0.6, 0.2, 0.2])
    banks = rng.choice(3, rows, p=[0.6, 0.3, 0.1])
    joined = Joined("bank", tables, applications, coverage, {name: {} for name in tables})
    return joined, roles, banks


def grow(joined: Joined, roles: np.ndarray, banks: np.ndarray, config: BoostingConfig):
    """Train in a loop: the log odds (n,) of the rows that train or validate, the curve, and the banks."""
    labels, training, validation = joined.labels, roles == TRAIN, roles == VALIDATION
    table, grid = SCHEMA.table(joined.tables["bank"]), Grid(SCHEMA)
    members = [np.flatnonzero(banks == bank) for bank in np.unique(banks)]
    total = sum(grid.addend(table.take(rows[training[rows]])) for rows in members)
    binning = grid.binning(total, config.bins, config.min_bin_count, np.zeros(3, np.int8))
    parties = []
    for name in joined.coverage:
        of_party = Binning.fit(
            joined.tables[name], np.arange(len(labels)), config.bins, config.min_bin_count, {}
        )
        parties.append((name, of_party, of_party.transform(joined.tables[name])))
    all_rows = Rows(training=int(training.sum()), validation=int(validation.sum()))
    base, codes = base_score(labels[training]), binning.transform(table)
    of_banks = [
        Bank(rows, labels, roles, codes, binning.shape, parties, config, base, all_rows) for rows in members
    ]
    curve = []
    while of_banks[0].demand is not None:
        total = sum(bank.add() for bank in of_banks)
        losses = [bank.go_on(total) for bank in of_banks]
        if losses[0] is not None:
            assert all((each == losses[0]).all() for each in losses)
            curve.append({"train.loss": losses[0][0], "valid.loss": losses[0][1]})
    log_odds = np.full(len(labels), np.nan)
    for bank in of_banks:
        scores, judged = bank.grower.growth.best.scores, ~bank.grower.data.training
        calibration = Calibration.fit(scores[judged], bank.grower.data.labels[judged])
        log_odds[bank.positions] = calibration.log_odds(scores)
    return log_odds, curve, of_banks


def pooled(joined: Joined, roles: np.ndarray, banks: np.ndarray, config: BoostingConfig) -> Fitted:
    members = [np.flatnonzero(banks == bank) for bank in np.unique(banks)]
    of_banks = [
        BankRows(
            name=str(number),
            table=joined.tables["bank"].take(rows),
            labels=joined.labels[rows],
            roles=roles[rows],
            signs={},
            segments={},
        )
        for number, rows in enumerate(members)
    ]
    partners = [{name: joined.tables[name].take(rows) for name in joined.coverage} for rows in members]
    return hybrid_boosting.train(
        of_banks, partners, {name: {} for name in joined.coverage}, SCHEMA, 1, config
    )


OPTIONS = {
    "as it comes": {},
    "a level ahead": {"ahead": "level"},
    "a tree ahead": {"ahead": "tree", "parallel": 1},
    "samples": {"row_share": 0.6, "column_share": 0.6},
    "deep and fine": {"depth": 5, "bins": 100, "min_leaf_count": 1, "min_bin_count": 3, "trees": 2},
    "no split gains": {"min_gain": 1e6},
    "it stops early": {"trees": 30, "parallel": 1, "learning_rate": 1.0, "patience": 2},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_banks_forest_equals_its_pooled_twin(options: dict) -> None:
    config = BoostingConfig(**QUICK | options)
    joined, roles, banks = economy()
    log_odds, curve, of_banks = grow(joined, roles, banks, config)
    twin = pooled(joined, roles, banks, config)
    # The twin has one bank's rows after the other's.
    order = np.argsort(banks, kind="stable")
    learned = roles[order] != TEST
    np.testing.assert_array_equal(log_odds[order][learned], twin.log_odds[learned])
    assert curve == twin.curve
    owners = of_banks[0].grower.growth.forest.owners
    assert (owners > 0).any() == (options != OPTIONS["no split gains"])
    if "patience" in options:
        assert len(curve) < 30
