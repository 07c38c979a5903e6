"""Several banks' boosting against its pooled twin, with banks that differ in size, rows and order."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from experiments.baselines import banks_boosting
from fl import metrics
from fl.banks.boosting import BoostingProgram, BoostingState
from fl.banks.grid import Schema
from fl.banks.program import Rows
from fl.config.boosting import BoostingConfig
from fl.records import decode, encode
from fl.tables import Table

SCHEMA = Schema(
    numeric=("inflow", "overdraft", "age"),
    categorical=("sector",),
    levels=(("farming", "retail", "transport"),),
    special=((), (), ()),
)
QUICK = BoostingConfig(trees=8, parallel=2, bins=8, min_leaf_count=10, l2=2.0)


def all_rows(count: int, seed: int) -> Rows:
    """Rows whose risk follows from their columns; some values are missing, one level is in no schema."""
    rng = np.random.default_rng(seed)
    numeric = np.stack([np.exp(rng.normal(9, 2, count)), rng.random(count), rng.integers(1, 30, count)], 1)
    sector = rng.integers(0, 4, count)
    risk = -0.5 * (np.log(numeric[:, 0]) - 9) + 2 * numeric[:, 1] + 0.6 * (sector == 2) - 2.2
    numeric[rng.random((count, 3)) < 0.1] = np.nan
    return Rows(
        name="",
        table=Table(
            numeric,
            SCHEMA.numeric,
            sector.astype(np.int32)[:, None],
            SCHEMA.categorical,
            (("retail", "mining", "transport", "farming"),),
            np.ones(count, bool),
        ),
        labels=(rng.random(count) < expit(risk)).astype(np.int8),
        roles=rng.choice(np.array([0, 0, 0, 1, 2], np.int8), count),
        signs={"inflow": -1, "overdraft": 1},
        segments={},
    )


def taken(rows: Rows, places: np.ndarray, name: str) -> Rows:
    return replace(
        rows,
        name=name,
        table=rows.table.take(places),
        labels=rows.labels[places],
        roles=rows.roles[places],
    )


def split(rows: Rows, banks: int, seed: int) -> list[Rows]:
    """The rows at so many banks of unequal size."""
    rng = np.random.default_rng(seed)
    bank = rng.choice(banks, len(rows), p=np.arange(1, banks + 1) / (banks * (banks + 1) / 2))
    return [taken(rows, np.flatnonzero(bank == number), f"bank_{number}") for number in range(banks)]


def run(banks: list[Rows], config: BoostingConfig) -> tuple[list[BoostingState], list[tuple], int]:
    """Let all banks train: their last states, what they told of progress, and the number of sums."""
    programs = [BoostingProgram(config, 7, SCHEMA) for _ in banks]
    states = [program.begin(rows) for program, rows in zip(programs, banks, strict=True)]
    told, sums = [], 0
    while True:
        addends = [p.addend(rows, s) for p, rows, s in zip(programs, banks, states, strict=True)]
        if addends[0] is None:
            assert all(addend is None for addend in addends)
            return states, told, sums
        total, sums = np.sum(addends, axis=0), sums + 1
        # A bank keeps its state as bytes between two sums.
        states = [
            decode(BoostingState, encode(p.advance(rows, s, total)))
            for p, rows, s in zip(programs, banks, states, strict=True)
        ]
        progress = [program.progress(state) for program, state in zip(programs, states, strict=True)]
        assert progress == progress[:1] * len(banks)
        told += filter(None, progress[:1])


def scores_of(banks: list[Rows], states: list[BoostingState], config: BoostingConfig) -> list[np.ndarray]:
    program = BoostingProgram(config, 7, SCHEMA)
    return [program.log_odds(rows, state) for rows, state in zip(banks, states, strict=True)]


OPTIONS = {
    "default": {},
    "trees one by one, no samples": {"parallel": 1, "row_share": 1.0, "column_share": 1.0},
    "one level": {"depth": 1},
    "deep": {"depth": 6, "min_leaf_count": 1, "min_leaf_weight": 0.0, "trees": 3},
    "fewer trees in the last round": {"parallel": 3},
    "no split gains": {"min_gain": 1e6},
    "signs of no account": {"monotone": False},
    "to the end": {"patience": 0},
    "early stop": {"trees": 60, "patience": 2, "learning_rate": 1.0},
    "no calibration": {"calibrate": False},
    "gradients of a few units": {"precision": 4},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_banks_equal_their_pooled_twin_under_every_option(options: dict) -> None:
    config = replace(QUICK, **options)
    banks = split(all_rows(900, 1), 3, 2)
    states, told, sums = run(banks, config)
    pooled = banks_boosting.train(banks, SCHEMA, 7, config)
    np.testing.assert_array_equal(np.concatenate(scores_of(banks, states, config)), pooled.log_odds)
    assert told == list(enumerate(pooled.curve, start=1))
    assert sums <= config.depth * config.rounds + 4
    assert (len(told) < config.rounds) == (options.get("patience", 0) == 2)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_banks_does_not_matter(count: int, seed: int) -> None:
    banks = split(all_rows(700, seed), count, seed)
    order = np.random.default_rng(seed).permutation(count)
    turned = [banks[place] for place in order]
    scores = scores_of(banks, run(banks, QUICK)[0], QUICK)
    in_turn = scores_of(turned, run(turned, QUICK)[0], QUICK)
    for place, of_bank in zip(order, in_turn, strict=True):
        np.testing.assert_array_equal(of_bank, scores[place])
    pooled = banks_boosting.train(turned, SCHEMA, 7, QUICK).log_odds
    np.testing.assert_array_equal(np.concatenate(in_turn), pooled)


def test_without_row_samples_it_does_not_matter_which_bank_has_a_row() -> None:
    config, rows = replace(QUICK, row_share=1.0), all_rows(700, 3)
    alone = scores_of([rows], run([rows], config)[0], config)[0]
    for count in (2, 3, 5):
        bank = np.random.default_rng(count).integers(0, count, len(rows))
        banks = [taken(rows, np.flatnonzero(bank == number), "") for number in range(count)]
        for number, scores in enumerate(scores_of(banks, run(banks, config)[0], config)):
            np.testing.assert_array_equal(scores, alone[bank == number])


def test_a_small_bank_learns_from_a_large_one() -> None:
    rows = all_rows(6_000, 4)
    small, large = taken(rows, np.arange(300), "small"), taken(rows, np.arange(300, 4_000), "large")
    judged = taken(rows, np.arange(4_000, 6_000), "small")
    program, config = BoostingProgram(QUICK, 7, SCHEMA), QUICK
    aucs = [
        metrics.auc(judged.labels, program.log_odds(judged, run(banks, config)[0][0]))
        for banks in ([small], [small, large])
    ]
    assert aucs[1] > aucs[0] + 0.03
