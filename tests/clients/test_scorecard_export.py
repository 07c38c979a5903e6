"""What a party exports of a scorecard: its query gives the points of the model, and tells nothing of others."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from clients.aligned import read_applications, table_of
from clients.data.applicants import features_of
from clients.data.column import Column
from clients.data.declaration import Declaration
from clients.parties import open_party
from clients.scorecard.export import Points, Scorecard, columns_of, export_scorecard, to_json, to_sql
from clients.scorecard.model import ScoredRows
from clients.store import Store
from fl.binning import Binning
from fl.errors import ConfigError
from fl.scorecard.grouping import DROPPED, Grouping
from fl.scorecard.points import PointsTable
from server.coordinator import assign_roles, train
from server.progress import ignore
from server.training import Training

RUN = "s/federated-scorecard"


@pytest.fixture
def trained(federate: Callable, tables: Path):
    """A federation in which a scorecard is trained under seed 1."""
    run = federate(tables)
    assigned = assign_roles(run.federation, 1)
    train(
        run.federation,
        Training(
            contender="federated-scorecard", seed=1, assigned=assigned, config=run.config, on_progress=ignore
        ),
    )
    return run


def exported(run, data: Path, party: str, words: str = RUN) -> Scorecard:
    return export_scorecard(data / party, Path(run.config.state, party), words)


def test_the_queries_add_up_to_the_scores_of_the_bank(trained, tables: Path, tmp_path: Path) -> None:
    study = Store(Path(trained.config.state, "bank", "s"))
    ids, rows = read_applications(study).ids, Store(study.folder / RUN[2:] / "1").read(ScoredRows)
    (tmp_path / "ids.csv").write_text("\n".join(["business_id", *ids]), "utf-8")
    with sqlite3.connect(":memory:") as database:
        for party in ("tax", "supply", "bank"):
            features = features_of(open_party(tables / party), tmp_path / "ids.csv")
            features.to_sql("features", database, index=False, if_exists="replace")
            query = to_sql(exported(trained, tables, party))
            if party != "bank":
                database.execute(f'CREATE TABLE "points_{party}" AS {query}')
        answers = pd.read_sql(query, database).set_index("id")["score"]

    assert answers[ids].tolist() == rows.scores.tolist()
    assert len(np.unique(rows.base)) == 2  # some businesses are known to a passive party, some to none


def test_a_party_exports_nothing_of_another_and_no_other_model(trained, tables: Path) -> None:
    bank, tax = (exported(trained, tables, party) for party in ("bank", "tax"))
    assert bank.score is not None
    assert bank.score.partners == ("supply", "tax")
    assert tax.score is None
    for text in (to_sql(tax), to_json(tax)):
        assert "supply" not in text
        assert "bank" not in text
    for words in ("s/federated-boosting", "s/federated-scorecard/2", "t", ""):
        with pytest.raises(
            ConfigError, match=r"There is no trained scorecard .* name it as STUDY/federated-score"
        ):
            exported(trained, tables, "tax", words)


def rows_of_all_kinds(count: int, seed: int) -> pd.DataFrame:
    """Numbers with special values and gaps, texts with rare levels, gaps and signs that SQL has a meaning for."""
    rng = np.random.default_rng(seed)
    number = rng.normal(size=count).round(1)

    number = np.where(rng.random(count) < 0.3, rng.choice([-999.0, -998.0, -997.0, np.nan], count), number)
    levels = ["it's", 'a "b"', "-- c", "纺织", *(f"rare {number}" for number in range(seed % 3 * 5)), None]
    return pd.DataFrame(
        {
            'say "x"': number,
            "plain": rng.normal(size=count),
            "kind": pd.Categorical(rng.choice(np.array(levels, object), count)),
        },
        index=[f"业{row}" for row in range(count)],
    )


@pytest.mark.parametrize("seed", range(6))
def test_every_kind_of_value_gets_its_points(seed: int) -> None:
    declared = Declaration(
        "table",
        "tax",
        columns=(
            Column('say "x"', "numeric", special=(-999, -998, -997)),
            Column("plain", "numeric"),
            Column("kind", "categorical"),
        ),
    )
    past, new = rows_of_all_kinds(300, seed), rows_of_all_kinds(200, seed + 1)
    known, rng = np.ones(300, bool), np.random.default_rng(seed)
    table = table_of(past, known, declared.columns)
    # From a bin per level and gap down to hardly any: many values share a bin, or have none of their own.
    binning = Binning.fit(table, np.arange(300), 6, [1, 10, 40][seed % 3], {}, special=True)
    shape = binning.shape
    groups = [
        np.full(bins, DROPPED)
        if seed == 5 and column == 1
        else np.sort(rng.permutation(np.arange(bins) % bins))
        for column, bins in enumerate(shape.bins)
    ]
    grouping = Grouping(shape, np.concatenate(groups).astype(np.int16))
    points = PointsTable.of(grouping, rng.integers(-50, 50, grouping.counts.sum()))
    fresh = table_of(new, np.ones(200, bool), declared.columns).in_levels_of(table)
    expected = points.totals(grouping.transform(binning.transform(fresh))).tolist()

    columns = tuple(columns_of(declared, table, binning, grouping, points))
    scorecard = Scorecard(run=RUN, party="tax", id="business_id", points=Points(base=0, columns=columns))
    features = new.reset_index(names="business_id")  # noqa: F841  (DuckDB reads it by its name)
    with sqlite3.connect(":memory:") as database:
        new.reset_index(names="business_id").to_sql("features", database, index=False)
        assert [row[1] for row in database.execute(to_sql(scorecard))] == expected
    assert [row[1] for row in duckdb.execute(to_sql(scorecard)).fetchall()] == expected
