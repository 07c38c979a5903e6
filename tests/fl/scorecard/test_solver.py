"""Where the bank goes and when it stops; that it gets to the optimum, `test_regression` shows."""

import numpy as np
import pytest

from fl.config.scorecard import ScorecardConfig
from fl.records import decode, encode
from fl.scorecard.cone import Cone
from fl.scorecard.design import one_hot
from fl.scorecard.regression import BankBlock
from fl.scorecard.solver import Solver, State


def solver(parties: int = 1, rows: int = 90, **settings: object) -> Solver:
    rng = np.random.default_rng(0)
    codes, counts = rng.integers(0, 3, (rows, 1)).astype(np.uint8), np.array([3])
    labels, training = (rng.random(rows) < 0.2 + 0.2 * codes[:, 0]).astype(np.int8), np.arange(rows) < 60
    design, cone = one_hot(codes, counts), Cone.of(counts, counts, np.zeros(1, np.int8))
    block = BankBlock(design[training], labels[training], cone, np.zeros(3), 1.0)
    return Solver(block, design, labels, training, parties, ScorecardConfig(**settings))


def test_before_the_first_exchange_the_others_say_nothing() -> None:
    state, following = solver().begin()
    assert not state.finished
    assert following.mix.shape == (0,)
    assert following.residual.shape == (60,)
    # The intercept is not penalised, so residuals add up to nothing but rounding.
    assert abs(following.residual.sum()) <= 60
    assert following.progress.exchanges == 0
    assert state.products.shape == (0, 0)


def test_without_others_there_is_nothing_to_exchange() -> None:
    assert solver(parties=0).begin()[0].finished


def test_a_short_step_is_the_last() -> None:
    one = solver(tolerance=0.1)
    state, _ = one.begin()
    assert not one.advance(state, np.zeros(90), np.array([0.02]))[0].finished
    state, following = one.advance(state, np.zeros(90), np.array([0.009]))
    assert state.finished
    assert following.mix.tolist() == [1.0]
    assert state.products[-1, -1] == pytest.approx(0.009)
    assert following.progress.exchanges == 1


def test_training_ends_when_validation_has_settled() -> None:
    rng, ends = np.random.default_rng(2), []
    offset = rng.normal(size=90)
    for settled in (0.0, 1e-4):
        one = solver(settled=settled, depth=1)
        state, _ = one.begin()
        for exchange in range(1, 9):
            # Steps that grow ever smaller, though none is short enough to be the last.
            scores = offset * (1 - 0.1**exchange)
            state, following = one.advance(state, scores, np.append(np.zeros(exchange - 1), 1.0))
            if state.finished:
                break
        ends.append(exchange if state.finished else None)
        assert len(state.losses) == exchange
    assert ends[0] is None
    assert 4 <= ends[1] < 8
    assert (np.abs(np.diff(state.losses[-3:])) < 1e-4).all()
    assert following.mix.tolist() == [0.0] * (ends[1] - 1) + [1.0]


def test_exchanges_are_bounded_and_the_last_step_counts() -> None:
    one = solver(exchanges=2)
    state, _ = one.begin()
    state, _ = one.advance(state, np.ones(90), np.array([4.0]))
    assert not state.finished
    state, following = one.advance(state, np.ones(90), np.array([1.0, 2.0]))
    assert state.finished
    assert following.mix.tolist() == [0.0, 1.0]


def test_partial_scores_of_the_others_are_an_offset() -> None:
    one = solver()
    state, _ = one.begin()
    offset = np.random.default_rng(1).normal(size=90)
    state, _ = one.advance(state, offset, np.array([4.0]))
    expected = one.block.solve(offset[:60], np.zeros(4))
    np.testing.assert_allclose(state.weights, expected, atol=1e-8)


def test_the_state_survives_the_store() -> None:
    one = solver()
    state, _ = one.advance(one.begin()[0], np.ones(90), np.array([4.0]))
    again = decode(State, encode(state))
    for name, value in vars(state).items():
        np.testing.assert_array_equal(getattr(again, name), value)


def test_the_first_state_of_many_rows_survives_the_store() -> None:
    state, _ = solver(rows=100_000).begin()
    assert decode(State, encode(state)).scores.size == 0
