from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fairlearn
from scipy.special import expit
from sklearn.metrics import precision_score, roc_auc_score

from experiments.lending import intervals
from experiments.lending.cases import Applicants, Case
from experiments.lending.decisions import choose_cutoff
from experiments.lending.fairness import (
    APPLICANTS,
    FIGURES,
    GINI,
    LEAST_GROUP,
    Decided,
    bounds,
    decided,
    figures_of,
    levels_of,
    measure_fairness,
    resampled,
)
from experiments.lending.measures import SIDES, choose_cutoffs
from experiments.lending.policy import Policy

POLICY = Policy(choose="approval-rate", target=0.7)
SHARES = {"urban": 0.6, "county": 0.35, "island": 0.05}


def draw(rows: int, rng: np.random.Generator, shares: dict[str, float] = SHARES) -> Applicants:
    """Firms in counties are riskier, which the challenger sees better than the reference."""
    area = rng.choice(list(shares), rows, p=list(shares.values()))
    seen, hidden = rng.normal(size=(2, rows))
    true_pd = expit(-2.4 + seen + hidden + 0.5 * (area == "county"))
    labels = (rng.random(rows) < true_pd).astype(np.int8)
    guesses = -2.1 + seen, -2.3 + seen + 0.8 * hidden + 0.3 * (area == "county")
    pds = (expit(guess) for guess in guesses)
    return Applicants(labels, np.full(rows, 1e5), {}, *pds, {"area": area}, true_pd)


def a_case(seed: int, rows: int = 700, **about: object) -> Case:
    rng = np.random.default_rng(seed)
    return Case(0, seed, draw(rows, rng, **about), draw(rows, rng, **about))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 20)


@pytest.mark.parametrize("seed", range(10))
def test_the_tables_are_those_of_fairlearn(seed: int) -> None:
    case = a_case(seed, rows=300, shares={"urban": 0.4, "county": 0.33, "island": 0.27})
    case = replace(case, test=replace(case.test, true_pd=None))
    cutoffs = choose_cutoffs(case, POLICY)

    found = measure_fairness([case], [cutoffs], POLICY)

    # One model in turn; both go the same way.
    side, policy = SIDES[seed % 2], (cutoffs.reference, cutoffs.challenger)[seed % 2]
    pds, area, good = case.test.pds[seed % 2], case.test.segments["area"], 1 - case.test.labels
    approved, level = (pds <= policy.maximum_pd).astype(int), found.table["value"].loc["area"]
    given = {"y_true": good, "y_pred": approved, "sensitive_features": area}
    expected = fairlearn.MetricFrame(
        metrics={
            "approval_rate": fairlearn.selection_rate,
            "true_positive_rate": fairlearn.true_positive_rate,
            "bad_rate": lambda good, approved: 1 - precision_score(good, approved),
            "observed_rate": lambda good, _: 1 - good.mean(),
            "mean_pd": lambda good, _, risk: risk.mean(),
            GINI: lambda good, _, risk: (
                2 * roc_auc_score(1 - good, risk) - 1 if (1 - good).sum() >= 10 else np.nan
            ),
        },
        sample_params={GINI: {"risk": pds}, "mean_pd": {"risk": pds}},
        **given,
    ).by_group
    largest = expected.loc[found.largest["area"]]
    for name, column in expected.items():
        for figure, told in (
            (side, column),
            (f"{side} ratio", (column / largest[name]).replace(np.inf, np.nan)),
            (f"{side} difference", column - largest[name]),
        ):
            compared = level[:, name, figure].reindex(column.index)
            np.testing.assert_allclose(compared, told, atol=1e-12, err_msg=f"{name} {figure}")
    gap = found.gaps.loc["area"][side]
    assert gap["approval_rate", "ratio"] == fairlearn.demographic_parity_ratio(**given)
    assert gap["approval_rate", "difference"] == fairlearn.demographic_parity_difference(**given)
    assert gap["true_positive_rate", "difference"] == fairlearn.equal_opportunity_difference(**given)


def test_resampled_rows_are_measured_as_rows_are() -> None:
    case = a_case(3)
    both = decided(case, choose_cutoffs(case, POLICY), POLICY)
    members = np.array([case.test.segments["area"] == group for group in ("urban", "county")])

    (once,) = resampled(both, members, 1)

    # The one draw, made of the rows themselves.
    (seed,) = np.random.SeedSequence(0).spawn(1)
    rows = np.random.default_rng(seed).integers(700, size=(20, 700))[0]
    for level, one in zip(once, both, strict=True):
        for number, inside in enumerate(members):
            drawn = rows[inside[rows]]
            approved, bad = one.approved[drawn], one.bad[drawn]
            expected = [approved.mean(), approved[~bad].mean(), bad[approved].mean(), one.pd[drawn].mean()]
            np.testing.assert_allclose(level[:4, number], expected)
            gini = 2 * roc_auc_score(bad, one.pd[drawn]) - 1
            assert level[-1, number] == pytest.approx(gini)


def test_a_group_of_few_applicants_is_withheld() -> None:
    case = a_case(1)
    found = measure_fairness([case], [choose_cutoffs(case, POLICY)], POLICY)

    assert (case.test.segments["area"] == "island").sum() < LEAST_GROUP
    island = found.table.loc["area", "island"]
    assert island.index.tolist() == [(APPLICANTS, "challenger")]
    assert island.isna().all(axis=None)
    assert found.largest == {"area": "urban"}
    # Nor has it a part in what the others are compared with.
    assert found.gaps.loc["area", "approval_rate", "ratio"]["challenger"] == pytest.approx(
        found.table.loc["area", "county", "approval_rate", "challenger ratio"]["value"]
    )


def test_a_segment_without_two_groups_is_left_out() -> None:
    case = a_case(1, shares={"urban": 0.99, "county": 0.01})
    found = measure_fairness([case], [choose_cutoffs(case, POLICY)], POLICY)
    assert found.table.empty
    assert found.largest == {}
    plain = replace(case, test=replace(case.test, segments={}))
    assert measure_fairness([plain], [choose_cutoffs(case, POLICY)], POLICY).table.empty


def test_with_the_truth_it_is_told_who_deserved_approval() -> None:
    case = a_case(5)
    cutoffs, test = choose_cutoffs(case, POLICY), case.test
    row = measure_fairness([case], [cutoffs], POLICY).table["value"].loc["area", "county"]

    inside = test.segments["area"] == "county"
    best = choose_cutoff(case.validation.labels, case.validation.true_pd, test.cash_flow, POLICY).maximum_pd
    sound, approved = test.true_pd <= best, test.challenger <= cutoffs.challenger.maximum_pd
    assert row["mean_true_pd", "challenger"] == pytest.approx(test.true_pd[inside].mean())
    assert row["sound_approved", "challenger"] == pytest.approx(approved[inside & sound].mean())
    blind = replace(case, test=replace(test, true_pd=None))
    measures = measure_fairness([blind], [cutoffs], POLICY).table.index.unique("measure")
    assert not [name for name in measures if name in ("mean_true_pd", "sound_approved")]


def test_over_economies_it_is_student_s_interval_and_seeds_are_no_more_data() -> None:
    cases = [replace(a_case(number), economy=number) for number in (1, 2, 3)]
    cutoffs = [choose_cutoffs(case, POLICY) for case in cases]
    key = ("area", "county", "approval_rate", "change")

    found = measure_fairness([*cases, cases[0]], [*cutoffs, cutoffs[0]], POLICY).table

    changes = []
    for case, chosen in zip(cases, cutoffs, strict=True):
        first, second = (made.approved for made in decided(case, chosen, POLICY))
        inside = case.test.segments["area"] == "county"
        changes.append(second[inside].mean() - first[inside].mean())
    assert found.loc[key, "value"] == pytest.approx(np.mean(changes))
    # Student's t with two degrees of freedom.
    assert found.loc[key, "high"] - np.mean(changes) == pytest.approx(
        4.302653 * np.std(changes, ddof=1) / 3**0.5
    )


def test_a_measure_that_no_resample_has_has_no_interval() -> None:
    drawn = np.full((5, 2), np.nan)
    drawn[:3, 0] = 1.0
    np.testing.assert_array_equal(bounds(drawn), [[1, np.nan], [1, np.nan]])


def test_nobody_approved_is_no_error() -> None:
    nobody = Decided(bad=np.arange(100) % 2 == 0, pd=np.full(100, 0.5), approved=np.zeros(100, bool))
    (level,) = resampled((nobody, nobody), np.ones((1, 100), bool), 1)
    assert level[0, 0, 0] == 0
    assert np.isnan(level[0, 2, 0])


@pytest.mark.slow
def test_intervals_cover_the_truth() -> None:
    """Of 200 samples of a population, 90 to 99 % of the 95 % intervals hold its figures."""
    population = a_case(0, rows=60_000, shares={"urban": 0.6, "county": 0.4})
    cutoffs, base = choose_cutoffs(population, POLICY), [0, 0]
    covered = 0

    def both_in(rows: np.ndarray) -> tuple[tuple[Decided, Decided], np.ndarray]:
        case = population.resampled(rows)
        area = case.test.segments["area"]
        return decided(case, cutoffs, POLICY), np.array([area == "urban", area == "county"])

    made, members = both_in(np.arange(60_000))
    truth = figures_of(np.stack([levels_of(one, members, np.ones((1, 60_000)))[0] for one in made]), base)
    for seed in range(200):
        rows = np.random.default_rng(seed).integers(60_000, size=1_200)
        low, high = bounds(figures_of(resampled(*both_in(rows), 300), base))
        covered += (low <= truth) & (truth <= high)
    shares = pd.DataFrame(covered[..., 1] / 200, FIGURES, [*made[0].shares, GINI])
    # Every row has the same true PD and outcome under both models, and a mean error may be zero, which has no ratio.
    asked = shares.drop(columns=["observed_rate", "mean_true_pd", "calibration"])
    assert asked.stack().between(0.90, 0.99).all(), asked
    calibration = shares.loc[["challenger", "change", "challenger difference"], "calibration"]
    assert calibration.between(0.90, 0.99).all(), calibration
