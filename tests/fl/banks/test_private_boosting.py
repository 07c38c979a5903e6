"""Boosting under noise: what an applicant can change, what the banks have in common, and what the noise costs."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from fl import metrics
from fl.banks.grid import Schema
from fl.banks.private_boosting import PrivateBoostingProgram, PrivateState
from fl.banks.program import Rows
from fl.config.boosting import BoostingConfig
from fl.errors import ConfigError
from fl.records import decode, encode
from fl.secure_sums import noise as noise_module
from fl.secure_sums.noise import Noise
from fl.tables import Table

SCHEMA = Schema(
    numeric=("inflow", "overdraft"), categorical=("sector",), levels=(("a", "b"),), special=((), ())
)
QUICK = BoostingConfig(trees=16, parallel=4, l2=2.0)
NOISE = Noise(epsilon=8.0, delta=1e-5, banks=3)
RHO = 1.2


@pytest.fixture(autouse=True)
def known_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accountant has tests of its own, and takes seconds to import."""
    monkeypatch.setattr(noise_module, "budget", lambda epsilon, delta: RHO if epsilon < 100 else 1e12)


def rows_of(count: int, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    numeric = np.stack([np.exp(rng.normal(9, 2, count)), rng.random(count)], 1)
    sector = rng.integers(0, 2, count)
    risk = -0.5 * (np.log(numeric[:, 0]) - 9) + 2 * numeric[:, 1] + 0.6 * (sector == 1) - 2.2
    numeric[rng.random((count, 2)) < 0.1] = np.nan
    return Rows(
        name="",
        table=Table(
            numeric,
            SCHEMA.numeric,
            sector.astype(np.int32)[:, None],
            SCHEMA.categorical,
            SCHEMA.levels,
            np.ones(count, bool),
        ),
        labels=(rng.random(count) < expit(risk)).astype(np.int8),
        roles=rng.choice(np.array([0, 0, 0, 1, 2], np.int8), count),
        signs={},
        segments={},
    )


def without(rows: Rows, place: int) -> Rows:
    others = np.delete(np.arange(len(rows)), place)
    return replace(rows, table=rows.table.take(others), labels=rows.labels[others], roles=rows.roles[others])


def run(
    banks: list[Rows], noise: Noise, config: BoostingConfig = QUICK
) -> tuple[list[np.ndarray], PrivateState]:
    """Every bank's log odds, and the first bank's last state."""
    program = PrivateBoostingProgram(config, 3, SCHEMA, noise)
    states = [program.begin(rows) for rows in banks]
    while (addends := [program.addend(*each) for each in zip(banks, states, strict=True)])[0] is not None:
        total = np.sum(addends, axis=0)
        states = [
            decode(PrivateState, encode(program.advance(rows, state, total)))
            for rows, state in zip(banks, states, strict=True)
        ]
    assert program.progress(states[0]) == (config.rounds, {})
    # What the banks have in common is the same at all of them.
    assert len({encode(state.model) for state in states}) == 1
    for rows, state in zip(banks, states, strict=True):
        np.testing.assert_array_equal(program.log_odds(rows, state), state.scores)
    return [state.scores for state in states], states[0]


@pytest.mark.parametrize("place", [0, 5, 9])
@pytest.mark.parametrize("precision", [10, 6])  # the second one makes a hessian a few units
def test_an_applicant_changes_sums_by_no_more_than_is_accounted_for(
    monkeypatch: pytest.MonkeyPatch, place: int, precision: int
) -> None:
    costs: list[tuple[float, float]] = []

    def no_share(self: Noise, squared_change: float, rho: float, count: int) -> np.ndarray:
        costs.append((squared_change, rho))
        return np.zeros(count, np.int64)

    monkeypatch.setattr(Noise, "share", no_share)
    rows = replace(rows_of(400, 1), roles=np.zeros(400, np.int8))
    program = PrivateBoostingProgram(replace(QUICK, precision=precision), 3, SCHEMA, NOISE)
    state, changes = program.begin(rows), []
    fewer, of_fewer = without(rows, place), state
    while (addend := program.addend(rows, state)) is not None:
        other = program.addend(fewer, of_fewer)
        changes.append(int(((addend - other) ** 2).sum()))
        if state.model is not None:
            # Nobody else's numbers change: one leaf's gradient and hessian in each tree of the round.
            assert np.count_nonzero(addend - other) <= 2 * QUICK.parallel
        state = program.advance(rows, state, addend)
        # Both go on from the same total, as two banks would.
        scores = np.delete(state.scores, place) if len(state.scores) else state.scores
        of_fewer = replace(state, codes=np.delete(state.codes, place, axis=0), scores=scores)
    assert changes[0] <= costs[0][0]
    assert changes[1] <= costs[2][0]
    assert sum(changes[2:]) <= costs[-1][0]
    # Bins, outcomes and all leaves are paid for once, and together they are all that there is.
    assert sum(rho for _, rho in costs[0:2:2] + costs[2:4:2] + costs[-1:]) == pytest.approx(RHO)


def test_the_order_of_banks_does_not_matter_but_the_noise_does() -> None:
    banks = [rows_of(300, 1), rows_of(500, 2), rows_of(200, 3)]
    scores, state = run(banks, NOISE)
    again, _ = run(banks, NOISE)
    assert not np.array_equal(scores[0], again[0])
    assert state.model is not None
    covers = state.model.forest.covers
    inner = np.flatnonzero(state.model.forest.owners >= 0)
    np.testing.assert_array_equal(covers[inner], covers[state.model.forest.children[inner]].sum(axis=1))


def test_with_hardly_any_noise_the_model_tells_goods_from_bads_and_with_much_it_still_runs() -> None:
    rows = rows_of(6_000, 4)
    aucs = []
    for epsilon, banks in ((1e3, 3), (8.0, 3)):
        noise = Noise(epsilon=epsilon, delta=1e-5, banks=banks)
        scores, _ = run([rows], noise)
        aucs.append(metrics.auc(rows.labels[rows.roles == 2], scores[0][rows.roles == 2]))
    assert aucs[0] > 0.70
    assert aucs[1] > 0.60
    few, _ = run([rows_of(40, 5)], NOISE)
    assert np.isfinite(few[0]).all()


def test_settings_for_one_bank_are_refused() -> None:
    with pytest.raises(ConfigError, match="goss-top"):
        PrivateBoostingProgram(replace(QUICK, goss_top=0.2), 1, SCHEMA, NOISE)
