"""Tables as people have them become a dataset that trains and scores, or one sentence says what to change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from clients.data.declaration import write_declaration
from clients.data.errors import DataError, DataWarning
from clients.data.inspection import inspect_table
from clients.parties import open_party
from experiments.backends import open_backend
from experiments.dataset import open_dataset
from experiments.scoring import score_applicants
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from server.progress import ignore

ROWS = 400


class Tables(NamedTuple):
    """A bank and a partner with tables of their own."""

    bank: pd.DataFrame
    partner: pd.DataFrame


@pytest.fixture
def clean() -> Tables:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(ROWS, 4)).round(6)
    y = (values[:, 0] + values[:, 2] + rng.logistic(size=ROWS) > 1).astype(int)
    ids = [f"B{number:06d}" for number in rng.permutation(ROWS)]
    bank = pd.DataFrame({"id": ids, "a": values[:, 0], "b": values[:, 1], "y": y})
    return Tables(bank, pd.DataFrame({"id": ids, "d": values[:, 2], "e": values[:, 3]}))


def write(root: Path, tables: Tables, **how: Any) -> Path:
    for party, frame in tables._asdict().items():
        (root / party).mkdir(parents=True)
        frame.to_csv(root / party / "table.csv", index=False, **how)
    return root


def declare(root: Path, label: str = "y", bad: str | None = None) -> Path:
    """What `siloscore init-party` does, for both parties."""
    for party, roles in (("bank", {"label": label, "bad": bad}), ("partner", {})):
        write_declaration(root / party, inspect_table(root / party / "table.csv", "id", **roles).declaration)
    return root


Change = Callable[[Tables], Tables]


def partner(**columns: Callable[[pd.DataFrame], Any]) -> Change:
    return lambda tables: tables._replace(partner=tables.partner.assign(**columns))


def without(value: Any, every: int) -> Callable[[pd.DataFrame], Any]:
    """Column d, in which every so many cells are a value that is none."""
    return lambda frame: frame["d"].astype(object).where(np.arange(ROWS) % every != 5, value)


@pytest.mark.parametrize(
    ("change", "how", "missing"),
    [
        (lambda tables: tables, {"encoding": "gbk"}, 0),
        (lambda tables: tables, {"encoding": "utf-16"}, 0),
        (lambda tables: tables, {"encoding": "utf-8-sig"}, 0),
        (lambda tables: tables, {"sep": ";", "decimal": ","}, 0),
        (lambda tables: tables, {"sep": "\t"}, 0),
        (partner(d=lambda frame: [f"{value:,.6f}" for value in frame["d"]]), {}, 0),
        (partner(d=lambda frame: [f"{value:.4%}" for value in frame["d"]]), {}, 0),
        (partner(d=without("inf", ROWS)), {}, 1),
        (partner(d=without("n.y.a.", 50)), {}, 8),
        (partner(d=without("NULL", 7)), {}, 57),
        (partner(d=without(-999, 8)), {}, 50),
    ],
    ids=[
        "gbk",
        "utf16",
        "bom",
        "semicolons",
        "tabs",
        "thousands",
        "percent",
        "inf",
        "stray",
        "null",
        "sentinel",
    ],
)
def test_numbers_are_read_however_they_are_written(
    clean: Tables, tmp_path: Path, change: Change, how: dict[str, str], missing: int
) -> None:
    names = {"年龄": "a"} if "encoding" in how else {}
    bank = clean.bank.rename(columns={name: chinese for chinese, name in names.items()})
    write(tmp_path / "mine", change(clean._replace(bank=bank)), **how)

    open_dataset(declare(tmp_path / "mine"))

    party = open_party(tmp_path / "mine" / "partner")
    read = party.matrix(clean.partner["id"].to_numpy(np.str_)).reset_index(drop=True)
    assert read["d"].isna().sum() == missing
    expected = clean.partner[["d", "e"]].where(read.notna())
    np.testing.assert_allclose(read, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "bad"), [({0: "N", 1: "Y"}, "Y"), ({0: 1, 1: 2}, "2"), ({0: "正常", 1: "违约"}, "违约")]
)
def test_a_label_of_two_values_needs_the_bad_one(
    clean: Tables, tmp_path: Path, words: dict[int, Any], bad: str
) -> None:
    tables = clean._replace(bank=clean.bank.assign(y=clean.bank["y"].map(words)))
    root = write(tmp_path / "mine", tables)

    with pytest.raises(
        DataError, match=f"values of the label are {words[0]}, {words[1]}; say .* --bad .* bad = "
    ):
        declare(root)

    open_dataset(declare(root, bad=bad))
    assert open_party(root / "bank").applications()["label"].tolist() == clean.bank["y"].tolist()


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d", "%Y/%m/%d", "%Y年%m月%d日", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y", "%Y-%m-%d %H:%M"]
)
def test_dates_become_months(clean: Tables, tmp_path: Path, form: str) -> None:
    days = pd.Timestamp("2015-01-01") + pd.to_timedelta(np.arange(ROWS) * 7, unit="D")
    root = write(tmp_path / "mine", partner(opened=lambda _: days.strftime(form))(clean))

    open_dataset(declare(root))

    party = open_party(root / "partner")
    opened = party.matrix(clean.partner["id"].to_numpy(np.str_))["opened"]
    latest = days[-1].to_period("M").to_timestamp()
    np.testing.assert_allclose(opened, (latest - days).days / (365.2425 / 12))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_ids_that_a_spreadsheet_has_spoilt_are_warned_of(clean: Tables, tmp_path: Path) -> None:
    spoilt = clean._replace(partner=clean.partner.assign(id=[f"1.1E+{17 + row}" for row in range(ROWS)]))
    root = declare(write(tmp_path / "mine", spoilt))

    with pytest.warns(
        DataWarning, match=rf"partner: {ROWS} of the ids, the first '1\.1E\+100', look like numbers"
    ):
        open_dataset(root)


@pytest.fixture
def to_score(clean: Tables, tmp_path: Path) -> Path:
    """A dataset to train on, `train`, one to score, `new`, and the file of its applicants.

    In training, each party has a column of numbers and one of texts without a value. The applicants lack the partner's
    column `d`; one lacks a cell of the bank, one lies outside of the range of the training, and one has new texts.
    """
    empty = {"none": np.nan, "words": ""}
    train = Tables(*(frame.assign(kind=np.where(frame.index % 3, "x", "y"), **empty) for frame in clean))
    root = declare(write(tmp_path / "train", train))
    toml = "[columns.none]\nkind = 'numeric'\n[columns.words]\nkind = 'categorical'\n"
    new = Tables(
        clean.bank[:8]
        .drop(columns="y")
        .assign(a=[np.nan, 1e9, *np.zeros(6)], none=1.0, words="seen", kind="new"),
        clean.partner[:8].assign(d="", none=1.0, words="seen", kind=""),
    )
    write(tmp_path / "new", new)
    for party in Tables._fields:
        declaration = (root / party / "party.toml").read_text() + toml
        for folder in ("train", "new"):
            (tmp_path / folder / party / "party.toml").write_text(declaration)
    new.bank[["id"]].to_csv(tmp_path / "applicants.csv", index=False)
    return tmp_path


@pytest.mark.filterwarnings("ignore::clients.data.errors.DataWarning")
@pytest.mark.usefixtures("quick_tracking")
@pytest.mark.parametrize(
    ("backend", "algorithms"),
    [
        ("inline", ("network", "scorecard", "boosting")),
        pytest.param("simulation", ("boosting",), marks=pytest.mark.slow),
    ],
)
def test_what_the_applicants_lack_is_missing_and_no_other_schema(
    to_score: Path, backend: str, algorithms: tuple[str, ...]
) -> None:
    config = TrainingConfig(
        data=str(to_score / "train"),
        parties=("bank", "partner"),
        contenders=tuple(f"federated-{name}" for name in algorithms),
        study="trained",
        tracking_uri=f"sqlite:///{to_score}/mlflow.db",
    )
    for section in (
        BoostingConfig(trees=3, depth=2, min_leaf_count=10, encryption="plain"),
        NetworkConfig(batches=4, batch_size=64, evaluate_every=2),
        ScorecardConfig(bins=4, min_group=5, max_p=1.0, exchanges=2, encryption="plain"),
    ):
        config = config.with_section(section)
    with open_backend(backend, 2) as run_federation:
        run_federation(config, ignore)

    for name in algorithms:
        out = to_score / f"{name}.csv"
        finished = score_applicants(
            config.tracking_uri,
            f"trained/federated-{name}/1",
            to_score / "applicants.csv",
            out,
            to_score / "new",
            (),
            backend,
            ignore,
        )
        assert finished.models == {f"federated-{name}": 8}
        assert pd.read_csv(out)["pd"].between(0, 1, inclusive="neither").all()


def test_the_columns_without_a_value_are_told_of_in_training(to_score: Path) -> None:
    with pytest.warns(DataWarning) as told:
        open_dataset(to_score / "train")

    said = [str(warning.message) for warning in told]
    assert len(said) == 4
    assert all(
        "the column has no value in any row, and so tells a model nothing." in sentence for sentence in said
    )
