"""The scorecard under noise: what an applicant can change, what the banks have in common, and what the noise costs."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from fl import metrics
from fl.banks.private_scorecard import PrivateScorecardProgram, _level
from fl.banks.program import Rows
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError
from fl.records import encode
from fl.scorecard.points import obeys
from fl.secure_sums import noise as noise_module
from fl.secure_sums.noise import Noise
from fl.splits import TEST
from tests.fl.banks.test_scorecard import SCHEMA, all_rows, run, split

CONFIG = ScorecardConfig()
NOISE = Noise(epsilon=8.0, delta=1e-5, banks=3)
RHO = 1.2


@pytest.fixture(autouse=True)
def known_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accountant has tests of its own, and takes seconds to import."""
    monkeypatch.setattr(
        noise_module, "budget", lambda epsilon, delta: {8.0: RHO, 1e3: 1e12, 1e-3: 1e-9}[epsilon]
    )


def private(noise: Noise = NOISE) -> PrivateScorecardProgram:
    return PrivateScorecardProgram(CONFIG, 1, SCHEMA, noise)


def without(rows: Rows, place: int) -> Rows:
    others = np.delete(np.arange(len(rows)), place)
    return replace(rows, table=rows.table.take(others), labels=rows.labels[others], roles=rows.roles[others])


@pytest.mark.parametrize("place", [0, 7, 1999])
def test_an_applicant_changes_sums_by_no_more_than_is_accounted_for(
    monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    costs: list[tuple[float, float]] = []

    def no_share(self: Noise, squared_change: float, rho: float, count: int) -> np.ndarray:
        costs.append((squared_change, rho))
        return np.zeros(count, np.int64)

    monkeypatch.setattr(Noise, "share", no_share)
    rows = replace(all_rows(2000), roles=np.arange(2000, dtype=np.int8) % 2)
    program, fewer = private(), without(rows, place)
    state, spent = program.begin(rows), 0.0
    while (addend := program.addend(rows, state)) is not None:
        # Both go on from the same total, as two banks would.
        change = ((addend - program.addend(fewer, state)) ** 2).sum()
        assert 0 < change <= costs[-1][0]
        spent += costs[-1][1]
        state = program.advance(rows, state, addend)
    assert spent == pytest.approx(RHO)


def test_the_order_of_banks_does_not_matter_but_the_noise_does() -> None:
    banks = split(all_rows(3000), 3, seed=1)
    states, told, sums = run(private(), banks)
    assert len({encode(state) for state in states}) == 1
    assert (told, sums) == ([], 3)
    again, _, _ = run(private(), banks[::-1])
    assert encode(again[0]) != encode(states[0])


def test_test_rows_take_no_part() -> None:
    rows = all_rows(500)
    alike = replace(rows, labels=np.where(rows.roles == TEST, 1 - rows.labels, rows.labels).astype(np.int8))
    noiseless = private(replace(NOISE, epsilon=1e3))
    (state,), _, _ = run(noiseless, [rows])
    before = replace(state, evidence=None, newton=None)
    first, second = (np.asarray(noiseless.addend(each, before)) for each in (rows, alike))
    # Two shares of the least variance, 4: their difference has a standard deviation of 2.8.
    assert np.abs(first - second).max() < 20


def test_with_hardly_any_noise_it_tells_goods_from_bads_and_keeps_to_signs_and_with_some_nearly_so() -> None:
    rows = all_rows(6000)
    test, aucs = rows.roles == TEST, []
    for epsilon in (1e3, 8.0):
        program = private(replace(NOISE, epsilon=epsilon))
        (state,), _, _ = run(program, [rows])
        aucs.append(metrics.auc(rows.labels[test], program.log_odds(rows, state)[test]))
        evidence = program.trained(state)[1]
        assert obeys(program.points(state).table, evidence.grouping.runs, evidence.grouping.signs).all()
        pd = expit(program.log_odds(rows, state))
        assert pd.mean() == pytest.approx(rows.labels.mean(), rel=0.15)
    assert aucs[0] > 0.74
    assert aucs[1] > aucs[0] - 0.06


def test_noise_that_drowns_all_columns_is_told() -> None:
    with pytest.raises(ConfigError, match="No column stands out from the noise"):
        run(private(replace(NOISE, epsilon=1e-3)), [all_rows(300)])


def test_the_level_gives_the_share_of_bads() -> None:
    rng, level = np.random.default_rng(1), _level(0.07, 1.3)
    assert expit(level + np.sqrt(1.3) * rng.normal(size=400_000)).mean() == pytest.approx(0.07, abs=2e-3)
