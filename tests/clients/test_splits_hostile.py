"""Whether the roles of the rows, which every party learns, tell the labels by which they were drawn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from clients.aligned import applications_of_rows
from clients.session import Session
from clients.splits import assign
from fl.config.run import TrainingConfig
from fl.splits import Split, SplitRequest, split_by_label
from fl.wire import Envelope

ROWS = 1_500
SEED = 3


def labels_that_fit(roles: NDArray[np.int8], bads: int) -> NDArray[np.int8] | None:
    """Per row the one label that fits the roles (−1 where both do) if the draw followed the public seed; None if none.

    A draw within each class depends on the labels only by the classes' sizes, so the roles of the first, second, …
    good and bad are known beforehand, and the labels are a path that goes through both lists at once. Forward and
    backward over the number of bads so far, this finds all paths.
    """
    config = TrainingConfig()
    ordered = np.repeat([0, 1], [len(roles) - bads, bads]).astype(np.int8)
    drawn = split_by_label(
        ordered, config.test_share, config.validation_share, np.random.default_rng([SEED, 1])
    )
    of_goods, of_bads = drawn[ordered == 0], np.append(drawn[ordered == 1], -1)
    so_far = np.arange(bads + 1)
    reached = np.zeros((len(roles) + 1, bads + 1), bool)
    reached[0, 0] = True
    as_good, as_bad = [], []
    for row, role in enumerate(roles):
        goods = np.clip(row - so_far, 0, len(of_goods) - 1)
        fits = (row >= so_far) & (row - so_far < len(of_goods)) & (of_goods[goods] == role)
        as_good.append(reached[row] & fits)
        as_bad.append(reached[row] & (of_bads[so_far] == role))
        reached[row + 1] = as_good[-1] | np.append(False, as_bad[-1][:-1])
    arrives = so_far == bads
    if not (reached[-1] & arrives).any():
        return None
    found = np.empty(len(roles), np.int8)
    for row in reversed(range(len(roles))):
        good, bad = as_good[row] & arrives, as_bad[row] & np.append(arrives[1:], False)
        found[row] = -1 if good.any() and bad.any() else bad.any()
        arrives = good | bad
    return found


@pytest.fixture(scope="module")
def labels() -> NDArray[np.int8]:
    return (np.random.default_rng(1).random(ROWS) < 0.2).astype(np.int8)


def assigned(folder: Path, labels: NDArray[np.int8]) -> NDArray[np.int8]:
    session = Session(TrainingConfig(), Envelope("study", f"splits/{SEED}", 1), folder, folder)
    ids = pd.Index([f"B{number}" for number in range(len(labels))])
    months = pd.Series(pd.NaT, index=ids, dtype="datetime64[s]")
    frame = pd.DataFrame({"label": labels, "month": months}, index=ids)
    session.study.keep(applications_of_rows(frame))
    return assign(session, SplitRequest(SEED)).split.read(Split).roles


def test_the_attack_works_on_a_draw_by_the_public_seed(labels: NDArray[np.int8]) -> None:
    config = TrainingConfig()
    roles = split_by_label(
        labels, config.test_share, config.validation_share, np.random.default_rng([SEED, 1])
    )

    found = labels_that_fit(roles, int(labels.sum()))

    assert found is not None
    certain = found >= 0
    assert certain.mean() > 0.4
    assert (found[certain] == labels[certain]).all()


def test_the_roles_do_not_follow_from_the_seed_that_everybody_knows(
    labels: NDArray[np.int8], tmp_path: Path
) -> None:
    assert labels_that_fit(assigned(tmp_path, labels), int(labels.sum())) is None


def test_the_same_data_and_seed_give_the_same_roles(labels: NDArray[np.int8], tmp_path: Path) -> None:
    first, second = (assigned(tmp_path / name, labels) for name in ("first", "second"))

    np.testing.assert_array_equal(first, second)


def test_one_other_label_gives_other_roles_throughout(labels: NDArray[np.int8], tmp_path: Path) -> None:
    other = labels.copy()
    other[0] = 1 - other[0]

    roles, changed = assigned(tmp_path / "first", labels), assigned(tmp_path / "second", other)

    assert (roles != changed).mean() > 0.3
