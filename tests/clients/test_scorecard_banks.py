"""The scorecard of several banks at each of them: points, reasons, tables and export as of a scorecard of its own."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients import banks
from clients.aligned import read_applications
from clients.banks import Model
from clients.data.applicants import features_of
from clients.parties import open_party
from clients.scorecard.card import POINTS_TABLE
from clients.scorecard.export import export_scorecard, to_sql
from clients.scorecard.model import ScoredRows
from clients.scores import Scores
from clients.store import Store
from experiments.backends.inline import InlineGrid
from experiments.baselines.banks_scorecard import fit_scorecard
from fl.banks.program import Rows
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.explanation import BANK
from fl.studies import sub_study
from server.coordinator import Trained, coordinate
from server.progress import ignore
from tests.clients.hybrids import BANKS, rows_of

RUN = "s/banks-scorecard/1"


@dataclass(frozen=True)
class Finished:
    """A finished run of three banks."""

    config: TrainingConfig
    trained: Trained

    def model(self, bank: str) -> Store:
        return Store(Path(self.config.state, bank, RUN))

    def rows(self, bank: str) -> Rows:
        return rows_of(self.config, bank)


@pytest.fixture(scope="module")
def finished(banks_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("card")
    config = TrainingConfig(
        data=str(banks_tables),
        parties=BANKS,
        state=str(folder / "state"),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        study="s",
        contenders=("banks-scorecard",),
        register=False,
    ).with_section(ScorecardConfig(bins=6, min_group=10, max_p=0.05))
    (trained,) = coordinate(InlineGrid(config), config, ignore)
    return Finished(config, trained)


def test_points_and_pds_are_those_of_the_pooled_twin(finished: Finished) -> None:
    rows, config = [finished.rows(bank) for bank in BANKS], finished.config.section(ScorecardConfig)
    schema = finished.model(BANKS[0]).read(Model).schema
    twin = fit_scorecard(rows, schema, config)
    log_odds = [finished.model(bank).read(Scores).log_odds for bank in BANKS]
    np.testing.assert_array_equal(np.concatenate(log_odds), twin.log_odds)
    for bank in BANKS:
        evaluation = finished.trained.of_banks[bank]
        np.testing.assert_array_equal(evaluation.tables["groups"]["points"], twin.points)
        assert evaluation.tables["scale"]["base"].tolist() == [twin.base]
        assert evaluation.tables["scale"]["bank"].tolist() == [bank]


def test_the_query_of_a_bank_adds_up_to_its_scores(finished: Finished, tmp_path: Path) -> None:
    for bank in BANKS:
        folder, state = Path(finished.config.data, bank), Path(finished.config.state, bank)
        ids = read_applications(Store(state / sub_study("s", bank))).ids
        (tmp_path / "ids.csv").write_text("\n".join(["business_id", *ids]), "utf-8")
        with sqlite3.connect(":memory:") as database:
            features = features_of(open_party(folder), tmp_path / "ids.csv")
            features.to_sql("features", database, index=False)
            query = to_sql(export_scorecard(folder, state, RUN))
            answers = pd.read_sql(query, database).set_index("id")["score"]
        assert answers[ids].tolist() == finished.model(bank).read(ScoredRows).scores.tolist()


def test_a_bank_answers_with_points_and_with_what_each_column_adds(finished: Finished) -> None:
    model, table, config = finished.model("bank_b"), finished.rows("bank_b").table, finished.config
    kept, scores = model.read(ScoredRows), model.read(Scores)
    assert banks.answers(model, table, {}, {}, config)["score"].tolist() == kept.scores.tolist()
    explanation = banks.explain(model, table, {}, {}, config)
    assert {feature.party for feature in explanation.contributions} == {BANK}
    np.testing.assert_allclose(explanation.log_odds, scores.log_odds, atol=1e-9)
    np.testing.assert_allclose(explanation.base, explanation.base[0], atol=1e-9)
    assert (model.folder / POINTS_TABLE).read_text("utf-8").startswith('"column","values","applicants"')
