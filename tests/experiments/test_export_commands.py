"""A scorecard in other systems: the queries of all parties give, in two databases, the points of `siloscore score`."""

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from clients.data.applicants import features_of
from clients.parties import open_party
from experiments import cli
from experiments.backends import inline
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from server.progress import ignore

pytestmark = pytest.mark.slow

PARTIES = ("bank", "tax", "supply_chain")
RUN = "trained/federated-scorecard"


@pytest.fixture(scope="module")
def study(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """A scorecard of a small economy, trained under seed 1."""
    folder = tmp_path_factory.mktemp("exported")
    config = TrainingConfig(
        data=str(generated),
        parties=PARTIES,
        contenders=("federated-scorecard",),
        study="trained",
        state=str(folder / "state"),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
    )
    settings = ScorecardConfig(bins=5, min_group=5, min_iv=0.0, max_p=1.0, exchanges=3, encryption="plain")
    with inline.opened(3) as run_federation:
        run_federation(config.with_section(settings), ignore)
    return config


@pytest.fixture
def siloscore(
    study: TrainingConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> Callable[..., tuple[int, str]]:
    """A command in this process, in an empty folder: its exit code, and what it says."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["siloscore", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, " ".join((said.out + said.err).split())

    return run


def in_sqlite(queries: dict[str, str]) -> pd.DataFrame:
    """The bank's answers; each party's features are a table of their own database until the points are handed over."""
    with sqlite3.connect(":memory:") as database:
        for party, query in queries.items():
            pd.read_parquet(f"{party}.parquet").to_sql("features", database, index=False, if_exists="replace")
            if party == "bank":
                return pd.read_sql(query, database)
            database.execute(f'CREATE TABLE "points_{party}" AS {query}')
    raise AssertionError("the bank comes last")


def in_duckdb(queries: dict[str, str]) -> pd.DataFrame:
    with duckdb.connect() as database:
        for party, query in queries.items():
            database.execute(f"CREATE OR REPLACE TABLE features AS FROM '{party}.csv'")
            if party == "bank":
                return database.execute(query).df()
            database.execute(f'CREATE TABLE "points_{party}" AS {query}')
    raise AssertionError("the bank comes last")


def test_two_databases_give_the_points_of_siloscore_score(
    study: TrainingConfig, generated: Path, siloscore: Callable[..., tuple[int, str]]
) -> None:
    months = pd.read_parquet(generated / "bank" / "applications.parquet")[
        ["business_id", "observation_month"]
    ]
    months.to_csv("new.csv", index=False)
    queries = {}
    for party in reversed(PARTIES):
        folder, state = generated / party, Path(study.state, party)
        month = () if party == "bank" else ("--month", "observation_month")
        for suffix in ("csv", "parquet"):
            options = ("--applicants", "new.csv", *month, "--out", f"{party}.{suffix}")
            assert siloscore("features", folder, *options)[0] == 0
        code, said = siloscore("export", folder, "--state", state, "--run", RUN, "--out", f"{party}.sql")
        assert (code, f"{party}.sql: {RUN}/1 at {party}, points for" in said) == (0, True)
        queries[party] = Path(f"{party}.sql").read_text("utf-8")
    store = study.tracking_uri.removeprefix("sqlite:///")
    options = ("--store", store, "--backend", "inline", "--applicants", "new.csv", "--out", "scores.parquet")
    code, said = siloscore("score", "--run", RUN, *options)
    assert code == 0, said

    scores = pd.read_parquet("scores.parquet").set_index("business_id")["score"]
    assert scores.nunique() > 50
    for answers in (in_sqlite(queries), in_duckdb(queries)):
        assert answers.set_index("id")["score"][scores.index].tolist() == scores.tolist()
    # Some business is known to all, one to none.
    known = [set(pd.read_parquet(f"{party}.parquet")["business_id"]) for party in PARTIES[1:]]
    assert known[0] & known[1]
    assert set(scores.index) - (known[0] | known[1])


def test_a_party_exports_nothing_of_another(
    study: TrainingConfig, generated: Path, siloscore: Callable[..., tuple[int, str]]
) -> None:
    for party in PARTIES:
        options = ("--state", Path(study.state, party), "--run", f"{RUN}/1", "--format", "json")
        assert siloscore("export", generated / party, *options, "--out", f"{party}.json")[0] == 0
        scorecard = json.loads(Path(f"{party}.json").read_text("utf-8"))
        columns = {one["name"] for one in scorecard["points"]["columns"] if one["kind"] != "partner"}
        assert columns
        assert columns <= set(open_party(generated / party).declaration.column_names)
        assert (scorecard["score"] is not None) == (party == "bank")
        assert scorecard["format"] == "siloscore-scorecard/1"


def test_a_passive_party_sees_a_business_as_of_the_month_that_it_is_told(
    generated: Path, tmp_path: Path
) -> None:
    tax = open_party(generated / "tax")
    (tmp_path / "asked.csv").write_text(
        f"business_id,month\n{tax.ids()[0]},2021-06\nnobody,2021-06\n", "utf-8"
    )

    then, now = (features_of(tax, tmp_path / "asked.csv", month) for month in ("month", None))

    assert then["business_id"].tolist() == now["business_id"].tolist() == [tax.ids()[0]]
    assert not then.drop(columns="business_id").equals(now.drop(columns="business_id"))
