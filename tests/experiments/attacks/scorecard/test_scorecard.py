"""Attacks on the scorecard find what the messages tell exactly, and no more than these where they tell nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.attacks.report import play_all
from experiments.attacks.scorecard import groups, labels
from experiments.attacks.scorecard.groups import Seen, allowed_by_reasons, solve
from experiments.attacks.scorecard.recording import Recording
from experiments.attacks.tables import tables
from experiments.dataset import open_dataset
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.scorecard.points import NO_REASON
from server.progress import ignore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(make_tables: Callable[..., Path]) -> TrainingConfig:
    """A bank whose columns say nothing, and a tax bureau that knows the risk."""
    data = make_tables(("tax",), rows=1_500)
    table = data / "bank" / "table.csv"
    frame = pd.read_csv(table)
    frame["kind"] = "coal"
    rng = np.random.default_rng(1)
    frame[["a", "b", "c"]] = rng.normal(size=(len(frame), 3))
    frame.to_csv(table, index=False)
    config = TrainingConfig(
        data=str(data), parties=open_dataset(data).parties, study="attack", alignment="inner"
    )
    return config.with_section(ScorecardConfig(min_group=10, bins=6, max_p=0.05))


@pytest.fixture(scope="module")
def recording(config: TrainingConfig) -> Recording:
    (made,) = Recording.of_runs(config, ignore, {"as-set": config.section(ScorecardConfig)})
    return made


def test_where_the_bank_says_nothing_the_first_sum_counts_the_bads(recording: Recording) -> None:
    estimated, true = labels.estimated_bads(recording, "tax")

    assert len(true) > 5
    np.testing.assert_allclose(estimated, true, atol=0.01 * true.sum())
    errors = labels.count(recording, "tax", np.random.default_rng(1))
    assert (errors["first sum"] < errors["average"] / 5).all()


def test_a_party_that_knows_no_label_guesses_them_by_what_is_opened(recording: Recording) -> None:
    played = labels.play(recording, "tax", np.random.default_rng(1))

    knows_none = played.drop(index="regression, 1,000 labels beside own columns")
    assert (knows_none["received"] > knows_none["own"].max() + 0.05).all()


def test_partial_scores_name_groups_that_points_do_not(recording: Recording) -> None:
    found = groups.reconstruct(recording, "tax", np.random.default_rng(1))

    assert (found["points"] >= found["largest"]).all()
    assert (found["scores"] >= found["points"]).all()
    assert (found["sure"] <= found["scores"]).all()


def test_equations_are_solved_where_rows_differ_in_one_column() -> None:
    """All combinations of groups of five columns, of which each row tells the one with most points lost."""
    rng = np.random.default_rng(2)
    truth = np.stack(np.meshgrid(*[np.arange(4)] * 5), -1).reshape(-1, 5)
    weights = rng.normal(size=(5, 4, 3))
    scores = weights[np.arange(5), truth].sum(axis=1)
    of_group = [np.rint(100 * column[:, -1]).astype(np.int64) for column in weights]
    points = sum(of_column[codes] for of_column, codes in zip(of_group, truth.T, strict=True))
    costs = np.stack([(of.max() - of)[codes] for of, codes in zip(of_group, truth.T, strict=True)], 1)
    worst = costs.argmax(axis=1)[:, None]
    told = costs.max(axis=1)[:, None]
    reasons = np.where(told > 0, worst, NO_REASON).astype(np.int16)
    before = allowed_by_reasons(of_group, np.arange(5), reasons, told.astype(np.int32))

    after = solve(Seen(scores, points, of_group, before), rng)

    named = np.stack([allowed.argmax(axis=1) for allowed in after], axis=1)
    sure = np.stack([allowed.sum(axis=1) == 1 for allowed in after], axis=1)
    assert all(
        allowed[np.arange(len(truth)), codes].all() for allowed, codes in zip(after, truth.T, strict=True)
    )
    assert np.mean([allowed.sum(axis=1) == 1 for allowed in before]) < 0.5
    assert sure.mean() > 0.95
    assert (named == truth)[sure].all()


def test_groups_and_labels_stand_in_tables(config: TrainingConfig) -> None:
    attacks = [groups.GROUPS, labels.COUNTS, labels.LABELS]

    played = play_all(attacks, config, "", ignore)

    assert list(played.figures[labels.LABELS]) == ["own", "as-set", "min-group-50"]
    assert [table.row_count for table in tables(played)] == [
        len(played.figures[groups.GROUPS]) + 1,
        len(played.figures[labels.COUNTS]) + 1,
        4,
    ]
