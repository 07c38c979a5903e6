"""The banks' scorecard as a program of sums: what is added, where Newton's method ends, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from fl.banks.grid import Schema
from fl.banks.program import Rows
from fl.banks.scorecard import ScorecardProgram, ScorecardState
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError, ProtocolError
from fl.records import decode, encode
from fl.scorecard.design import one_hot
from fl.scorecard.points import obeys
from fl.scorecard.regression import BankBlock, cone_of
from fl.splits import TRAIN
from fl.tables import Table

SCHEMA = Schema(
    numeric=("inflow", "overdraft", "age"),
    categorical=("sector",),
    levels=(("farming", "retail", "transport"),),
    special=((), (-9.0,), ()),
)
FREE = ScorecardConfig(monotone=False, calibrate=False)


def all_rows(count: int, seed: int = 0, effect: float = 1.0) -> Rows:
    """Rows whose risk follows from their columns; values are missing, special, or of a level that is in no schema."""
    rng = np.random.default_rng(seed)
    numeric = np.stack([np.exp(rng.normal(9, 2, count)), rng.random(count), rng.integers(1, 30, count)], 1)
    sector = rng.integers(0, 4, count)
    risk = -0.5 * (np.log(numeric[:, 0]) - 9) + 2 * numeric[:, 1] + 0.6 * (sector == 2)
    numeric[rng.random((count, 3)) < 0.1] = np.nan
    special = np.where(rng.random(count) < 0.1, -9.0, np.nan)
    numeric[:, 1] = np.where(np.isnan(special), numeric[:, 1], np.nan)
    return Rows(
        name="",
        table=Table(
            numeric,
            SCHEMA.numeric,
            sector.astype(np.int32)[:, None],
            SCHEMA.categorical,
            (("retail", "mining", "transport", "farming"),),
            np.ones(count, bool),
            {"overdraft": special},
        ),
        labels=(rng.random(count) < expit(effect * risk - 2.2)).astype(np.int8),
        roles=rng.choice(np.array([0, 0, 0, 1, 2], np.int8), count),
        signs={"inflow": -1, "overdraft": 1},
        segments={},
    )


def split(rows: Rows, banks: int, seed: int) -> list[Rows]:
    """The rows at so many banks of unequal size."""
    shares = np.arange(1, banks + 1) / (banks * (banks + 1) / 2)
    bank = np.random.default_rng(seed).choice(banks, len(rows), p=shares)
    return [
        replace(
            rows,
            name=f"bank_{number}",
            table=rows.table.take(np.flatnonzero(bank == number)),
            labels=rows.labels[bank == number],
            roles=rows.roles[bank == number],
        )
        for number in range(banks)
    ]


def run(program, banks: list[Rows]) -> tuple[list, list[tuple], int]:
    """Let all banks train: their last states, what they told of progress, and the number of sums."""
    states, told, sums = [program.begin(rows) for rows in banks], [], 0
    while True:
        addends = [program.addend(rows, state) for rows, state in zip(banks, states, strict=True)]
        if addends[0] is None:
            assert all(addend is None for addend in addends)
            return states, told, sums
        assert all(addend.dtype == np.int64 for addend in addends)
        total, sums = np.sum(addends, axis=0), sums + 1
        # A bank keeps its state as bytes between two sums.
        states = [
            decode(program.state, encode(program.advance(rows, state, total)))
            for rows, state in zip(banks, states, strict=True)
        ]
        if (progress := program.progress(states[0])) is not None:
            told.append(progress)


@pytest.mark.parametrize("banks", [2, 3, 5])
def test_a_scorecard_does_not_depend_on_which_bank_has_which_row(banks: int) -> None:
    program, rows = ScorecardProgram(ScorecardConfig(), 1, SCHEMA), all_rows(1500)
    (alone,), told, _ = run(program, [rows])
    parts = split(rows, banks, seed=banks)
    for order in (parts, parts[::-1]):
        states, progress, _ = run(program, order)
        assert {encode(state) for state in states} == {encode(alone)}
        assert progress == told


def fitted(rows: Rows, config: ScorecardConfig) -> tuple[ScorecardState, np.ndarray, np.ndarray]:
    """The state after training, and the one-hot columns and labels of the training rows."""
    (state,), _, _ = run(ScorecardProgram(config, 1, SCHEMA), [rows])
    codes = state.binning.transform(SCHEMA.table(rows.table))
    grouping, training = state.evidence.grouping, rows.roles == TRAIN
    return state, one_hot(grouping.transform(codes)[training], grouping.counts), rows.labels[training]


def test_the_weights_are_those_of_a_stock_logistic_regression() -> None:
    state, design, labels = fitted(all_rows(2000), FREE)
    stock = LogisticRegression(C=FREE.c, tol=1e-10, max_iter=10_000).fit(design, labels)
    expected = np.append(stock.intercept_, stock.coef_)
    np.testing.assert_allclose(state.newton.weights, expected, atol=1e-5)


@pytest.mark.parametrize("config", [ScorecardConfig(), ScorecardConfig(c=2.0, l1_ratio=0.7)])
def test_the_weights_are_those_that_one_bank_fits_to_its_table(config: ScorecardConfig) -> None:
    state, design, labels = fitted(all_rows(2000), config)
    l1, l2 = config.penalty
    block = BankBlock(design, labels, cone_of(state.evidence.grouping), np.full(design.shape[1], l1), l2)
    expected = block.solve(np.zeros(len(labels)), np.zeros(1 + design.shape[1]))
    np.testing.assert_allclose(state.newton.weights, expected, atol=1e-5)


def test_points_keep_to_the_declared_signs() -> None:
    # Here policy demands that risk falls with the overdraft, and it rises.
    rows = replace(all_rows(2000), signs={"inflow": -1, "overdraft": -1})
    for monotone in (True, False):
        program = ScorecardProgram(ScorecardConfig(monotone=monotone), 1, SCHEMA)
        (state,), _, _ = run(program, [rows])
        grouping, table = state.evidence.grouping, program.points(state).table
        signs = np.array([-1, -1, 0, 0], np.int8)[grouping.columns]
        assert obeys(table, grouping.runs, signs).all() == monotone


def test_a_step_that_makes_the_fit_worse_is_halved() -> None:
    program, rows = ScorecardProgram(FREE, 1, SCHEMA), all_rows(2000)
    state = program.begin(rows)
    for _ in range(2):
        state = program.advance(rows, state, program.addend(rows, state))
    state = program.advance(rows, state, program.addend(rows, state))
    newton = state.newton
    too_far = replace(
        state, newton=replace(newton, weights=newton.origin + 50 * (newton.weights - newton.origin))
    )
    after = program.advance(rows, too_far, program.addend(rows, too_far)).newton
    np.testing.assert_array_equal(after.origin, newton.origin)
    np.testing.assert_allclose(
        after.weights - newton.origin, 25 * (newton.weights - newton.origin), atol=1e-8
    )


def test_pds_are_calibrated_on_the_validation_rows_of_all_banks() -> None:
    rows = all_rows(4000)
    program = ScorecardProgram(ScorecardConfig(c=2e-3), 1, SCHEMA)
    (state,), _, _ = run(program, [rows])
    judged = rows.roles == 1
    pd = expit(program.log_odds(rows, state))
    assert state.calibration.slope > 1.5  # so strong a penalty leaves the odds too close to each other
    assert pd[judged].mean() == pytest.approx(rows.labels[judged].mean(), rel=0.02)


def test_applicants_get_points_without_labels_or_roles() -> None:
    program, rows = ScorecardProgram(ScorecardConfig(), 1, SCHEMA), all_rows(1500)
    (state,), _, _ = run(program, [rows])
    nobody = np.empty(0, np.int8)
    applicants = replace(rows, labels=nobody, roles=nobody)
    np.testing.assert_array_equal(program.log_odds(applicants, state), program.log_odds(rows, state))


def test_columns_that_say_nothing_make_no_scorecard() -> None:
    with pytest.raises(ConfigError, match="No column says more about defaults than chance may"):
        run(ScorecardProgram(ScorecardConfig(max_p=1e-6), 1, SCHEMA), [all_rows(1500, effect=0.0)])


def test_banks_without_bads_are_refused_and_so_is_a_total_of_another_length() -> None:
    program, rows = ScorecardProgram(FREE, 1, SCHEMA), all_rows(1500)
    with pytest.raises(ProtocolError, match="must hold goods and bads"):
        run(program, [replace(rows, labels=np.zeros_like(rows.labels))])
    state = program.begin(rows)
    state = program.advance(rows, state, program.addend(rows, state))
    with pytest.raises(ProtocolError, match="the banks' sums must be"):
        program.advance(rows, state, np.zeros(3, np.int64))


def test_what_columns_add_explains_every_row_from_the_same_base() -> None:
    program, rows = ScorecardProgram(ScorecardConfig(), 1, SCHEMA), all_rows(1500)
    (state,), _, _ = run(program, [rows])
    added = program.contributions(rows, state)
    base = program.log_odds(rows, state) - sum(added.values())
    np.testing.assert_allclose(base, base[0], atol=1e-9)
    # Compared with the mean training row, of which the contributions are none.
    means = [values[rows.roles == TRAIN].mean() for values in added.values()]
    np.testing.assert_allclose(means, 0, atol=1e-9)
