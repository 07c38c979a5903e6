"""The solver against scikit-learn's logistic regression on a one-hot matrix of all columns."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fl.config.scorecard import ScorecardConfig
from fl.scorecard.cone import Cone
from fl.scorecard.design import one_hot
from fl.scorecard.regression import BankBlock, PassiveBlock
from fl.scorecard.solver import Solver


class Toy:
    """A bank with two columns and two parties with two each, all correlated; 600 rows train and 200 validate."""

    def __init__(self, signs: int = 0, unknown: bool = False, c: float = 1.0, l1_ratio: float = 0.0) -> None:
        rng = np.random.default_rng(0)
        rows, common = 800, rng.normal(size=800)
        counts = np.array([5, 4])
        self.codes = []
        risk = np.zeros(rows)
        for _ in range(3):
            columns = 0.8 * common[:, None] + 0.6 * rng.normal(size=(rows, 2))
            ranks = columns.argsort(axis=0).argsort(axis=0) / rows
            self.codes.append((ranks * counts).astype(np.uint8))
            risk += columns.sum(axis=1)
        self.labels = (risk + 2 * rng.logistic(size=rows) > 3).astype(np.int8)
        self.training = np.arange(rows) < 600
        self.known = [rng.random(rows) < 0.6 if unknown else np.ones(rows, bool) for _ in range(2)]
        own = self.codes[0]
        coverage = [(~known).astype(np.uint8)[:, None] for known in self.known if unknown]
        self.bank_codes = np.concatenate([own, *coverage], axis=1)
        self.bank_counts = np.append(counts, np.full(len(coverage), 2))
        self.counts, sign = counts, np.full(2, signs, np.int8)
        self.config = ScorecardConfig(
            c=c, l1_ratio=l1_ratio, precision=30, tolerance=1e-7, settled=0.0, exchanges=40, min_group=5
        )
        padding = np.zeros(len(coverage), np.int8)
        cone = Cone.of(self.bank_counts, np.append(counts, 0 * padding), np.append(sign, padding))
        design = one_hot(self.bank_codes, self.bank_counts)
        l1, l2 = self.config.penalty
        selective = np.where(np.arange(design.shape[1]) < counts.sum(), l1, 0.0)  # not who knows whom
        block = BankBlock(design[self.training], self.labels[self.training], cone, selective, l2)
        self.solver = Solver(block, design, self.labels, self.training, 2, self.config)
        self.blocks = [
            PassiveBlock.of(
                one_hot(codes[known & self.training], counts),
                Cone.of(counts, counts, sign),
                self.config.penalty,
                not unknown,
            )
            for codes, known in zip(self.codes[1:], self.known, strict=True)
        ]

    def fit(self) -> tuple[np.ndarray, int]:
        """All weights, the intercept first, and how many exchanges they took."""
        state, to_do = self.solver.begin()
        values = [np.empty((0, 9)), np.empty((0, 9))]
        steps = [np.empty((0, 9)), np.empty((0, 9))]
        exchanges = 0
        while not state.finished:
            scores, products = np.zeros(800), np.zeros(exchanges + 1)
            for number, (block, known) in enumerate(zip(self.blocks, self.known, strict=True)):
                at = to_do.mix @ values[number]
                own = to_do.residual[known[self.training]].astype(np.float64)
                sums = (block.design.T @ own).astype(np.int64)
                after = block.step(at, sums, self.config.precision)
                values[number] = np.vstack([values[number], after])
                steps[number] = np.vstack([steps[number], after - at])
                scores[known] += one_hot(self.codes[number + 1][known], self.counts) @ after
                products += block.products(steps[number])
            state, to_do = self.solver.advance(state, scores, products)
            exchanges += 1
        return np.concatenate([state.weights, values[0][-1], values[1][-1]]), exchanges

    def matrix(self) -> np.ndarray:
        """The one-hot columns of all parties, zero where a party knows nobody."""
        bank = [np.eye(c)[codes] for codes, c in zip(self.bank_codes.T, self.bank_counts, strict=True)]
        others = [
            np.eye(count)[column] * known[:, None]
            for codes, known in zip(self.codes[1:], self.known, strict=True)
            for column, count in zip(codes.T, self.counts, strict=True)
        ]
        return np.concatenate([*bank, *others], axis=1)


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("c", [0.05, 1.0, 10.0])
def test_the_fixed_point_is_scikit_learns_optimum(c: float, unknown: bool) -> None:
    toy = Toy(c=c, unknown=unknown)
    found, exchanges = toy.fit()
    rows = toy.training
    reference = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(toy.matrix()[rows], toy.labels[rows])
    np.testing.assert_allclose(found[1:], reference.coef_[0], atol=1e-4)
    assert found[0] == pytest.approx(reference.intercept_[0], abs=1e-4)
    assert exchanges <= 30


@pytest.mark.parametrize("l1_ratio", [0.3, 0.9])
def test_under_l1_too(l1_ratio: float) -> None:
    toy = Toy(c=0.1, l1_ratio=l1_ratio)
    found, exchanges = toy.fit()
    rows = toy.training
    reference = LogisticRegression(C=0.1, l1_ratio=l1_ratio, solver="saga", tol=1e-9, max_iter=100_000)
    reference.fit(toy.matrix()[rows], toy.labels[rows])
    np.testing.assert_allclose(found[1:], reference.coef_[0], atol=1e-4)
    zeros = np.abs(reference.coef_[0]) < 1e-6
    assert zeros.any()
    assert (found[1:][zeros] == 0).all()
    assert exchanges <= 30


def test_where_businesses_are_unknown_l1_spares_who_knows_whom_and_is_optimal_elsewhere() -> None:
    toy = Toy(c=0.1, l1_ratio=0.7, unknown=True)
    found, exchanges = toy.fit()
    matrix, labels = toy.matrix()[toy.training], toy.labels[toy.training]
    pd = 1 / (1 + np.exp(-found[0] - matrix @ found[1:]))
    (l1, l2), weights = toy.config.penalty, found[1:]
    slope = matrix.T @ (pd - labels) + l2 * weights
    selective = np.where((np.arange(len(weights)) >= 9) & (np.arange(len(weights)) < 13), 0.0, l1)
    zero = weights == 0
    assert exchanges <= 30
    assert 0 < zero.sum() < len(weights)
    np.testing.assert_allclose(slope[~zero], -(selective * np.sign(weights))[~zero], atol=1e-3)
    assert (np.abs(slope[zero]) <= l1 + 1e-3).all()


def test_signs_hold_and_nothing_within_them_is_better() -> None:
    toy = Toy(signs=-1, unknown=True)  # the columns raise the risk, so the signs cost
    found, _ = toy.fit()
    design, labels = toy.matrix()[toy.training], toy.labels[toy.training]

    def loss(weights: np.ndarray) -> float:
        scores = weights[0] + design @ weights[1:]
        return float((np.logaddexp(0, scores) - labels * scores).sum() + weights[1:] @ weights[1:] / 2)

    starts = [1, 6, 14, 19, 23, 28]  # of the columns; 10 to 13 are those of coverage
    runs = [found[start : start + size] for start, size in zip(starts, [5, 4] * 3, strict=True)]
    assert all((np.diff(run) <= 1e-12).all() for run in runs)
    rng, best = np.random.default_rng(0), loss(found)
    for _ in range(200):
        other = found + 0.05 * rng.normal(size=len(found))
        for start, size in zip(starts, [5, 4] * 3, strict=True):
            other[start : start + size] = np.minimum.accumulate(other[start : start + size])
        assert loss(other) > best


def test_a_step_never_raises_the_loss_whatever_the_labels() -> None:
    toy = Toy(c=100.0)
    rng = np.random.default_rng(0)
    block = toy.blocks[0]
    for share in (0.01, 0.5, 0.99):
        labels = rng.random(600) < share

        def loss(weights: np.ndarray, labels: np.ndarray = labels) -> float:
            scores = block.design @ weights
            scores = scores - scores.mean()  # what the intercept would answer
            return float(
                (np.logaddexp(0, scores) - labels * scores).sum() + block.penalty[1] / 2 * weights @ weights
            )

        at = rng.normal(size=9)
        scores = block.design @ at
        residual = 1 / (1 + np.exp(scores.mean() - scores)) - labels
        residual = residual - residual.mean()
        sums = np.rint((block.design.T @ residual) * 2**30).astype(np.int64)
        assert loss(block.step(at, sums, 30)) < loss(at)


def test_the_bank_alone_solves_in_one_go() -> None:
    toy = Toy(c=0.5)
    block = toy.solver.block
    found = block.solve(np.zeros(600), np.zeros(10))
    own = toy.matrix()[toy.training][:, :9]
    reference = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(own, block.labels)
    np.testing.assert_allclose(found[1:], reference.coef_[0], atol=1e-5)


def test_wherever_the_bank_starts_it_comes_to_the_same_weights() -> None:
    block, rng = Toy(c=0.5).solver.block, np.random.default_rng(0)
    offset = rng.normal(size=600)
    found = [block.solve(offset, scale * rng.normal(size=10)) for scale in (0, 1, 5)]
    np.testing.assert_allclose(found[1], found[0], atol=1e-9)
    np.testing.assert_allclose(found[2], found[0], atol=1e-9)


def test_the_residual_is_in_whole_units_and_within_range() -> None:
    toy = Toy()
    weights = np.zeros(10)
    found = toy.solver.block.residual(np.linspace(-50, 50, 600), weights, 24)
    assert found.dtype == np.int64
    assert np.abs(found).max() <= 1 << 24
