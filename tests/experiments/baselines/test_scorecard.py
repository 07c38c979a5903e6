"""The federated scorecard against its pooled twin, whose sums come from the joined rows themselves."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from clients.aligned import table_of
from clients.data.column import Column
from clients.data.declaration import Declaration, read_declaration, with_reasons, write_declaration
from clients.scorecard.model import BankModel, PassiveModel, ScoredRows
from clients.store import Store
from experiments.baselines.scorecard import Scorecard, fit_scorecard, group_columns
from experiments.joined import read_joined, read_roles, read_scores
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError
from fl.messages import DIGITS, rounded
from fl.scorecard.design import one_hot
from fl.splits import TEST, TRAIN, Roles, Split, split_by_label
from server.coordinator import Trained, assign_roles, train
from server.progress import Progress, ignore
from server.training import Training

MODEL = "federated-scorecard/1"


def train_federated(run, report: Callable[[Progress], None] = ignore) -> tuple[Trained, Roles]:
    """Train under seed 1: what came of it, and the roles."""
    assigned = assign_roles(run.federation, 1)
    training = Training(
        contender="federated-scorecard", seed=1, assigned=assigned, config=run.config, on_progress=report
    )
    return train(run.federation, training), assigned.split.read(Split).roles


def assert_equal_twins(run) -> Scorecard:
    """Federated equals pooled bit for bit: weights, points, scores, PDs, the card, and the metrics on the way."""
    events: list[Progress] = []
    config = run.config.section(ScorecardConfig)
    trained, roles = train_federated(run, events.append)

    card = fit_scorecard(read_joined(run.config, "bank"), roles, config)

    def model(party: str) -> Store:
        return Store(Path(run.config.state, party, "s", MODEL))

    for party, weights in card.weights.items():
        if party == "bank":
            np.testing.assert_array_equal(model(party).read(BankModel).weights.joint, weights)
        else:
            kept = model(party).read(PassiveModel)
            np.testing.assert_array_equal(kept.weights, weights)
            for name, array in vars(card.tables[party]).items():
                np.testing.assert_array_equal(getattr(kept.table, name), array)
    np.testing.assert_array_equal(model("bank").read(ScoredRows).scores, card.scores)
    np.testing.assert_array_equal(
        read_scores(run.config, "bank", "federated-scorecard", 1).log_odds, card.log_odds
    )
    for name in ("scorecard", "groups", "reasons", "scale"):
        for column, values in card.card[name].items():
            told = np.round(values, DIGITS) if np.asarray(values).dtype.kind == "f" else values
            np.testing.assert_array_equal(trained.evaluation.tables[name][column], told)
    told = [dict(event.metrics) for event in events if event.metrics]
    assert told == [rounded(progress).metrics for progress in card.progress]
    assert trained.costs.round_trips <= 7 + 4 * config.exchanges
    return card


@pytest.mark.parametrize("mode", ["left", "inner"])
@pytest.mark.parametrize("passive", [("tax",), ("tax", "supply"), ("customs", "power", "tax")])
def test_the_federated_scorecard_equals_its_pooled_twin(
    make_tables: Callable[..., Path], federate: Callable, passive: tuple[str, ...], mode: str
) -> None:
    # A third of the businesses known to a party, values missing, and strangers in every table.
    card = assert_equal_twins(federate(make_tables(passive), alignment=mode))
    assert set(card.weights) == {"bank", *passive}


OPTIONS = {
    "one exchange": {"exchanges": 1},
    "to the end": {"exchanges": 30},
    "no mixing": {"depth": 1},
    "many bins": {"bins": 20, "min_group": 2},
    "weak columns dropped": {"min_iv": 0.1},
    "columns dropped that may be chance": {"max_p": 0.05},
    "no calibration": {"calibrate": False},
    "coarse residuals": {"precision": 8},
    "another scale": {"pdo": 40.0, "base_score": 1000.0, "base_odds": 1.0},
    "strong penalty": {"c": 0.001},
    "L1": {"l1_ratio": 0.5, "c": 0.02},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_twins_are_equal_under_every_option(tables: Path, federate: Callable, options: dict) -> None:
    assert_equal_twins(federate(tables, scorecard=options))


def test_twins_are_equal_on_a_lattice_and_have_the_points_of_no_encryption(
    tables: Path, federate: Callable
) -> None:
    pytest.importorskip("tenseal")
    cards = [assert_equal_twins(federate(tables, scorecard={"encryption": e})) for e in ("lattice", "plain")]
    for party, table in cards[0].tables.items():
        np.testing.assert_array_equal(table.points, cards[1].tables[party].points)


@pytest.mark.slow
def test_twins_are_equal_under_paillier(make_tables: Callable[..., Path], federate: Callable) -> None:
    pytest.importorskip("gmpy2")
    options = {"encryption": "paillier", "exchanges": 2}
    assert_equal_twins(federate(make_tables(("tax",)), scorecard=options))


def test_twins_keep_to_declared_signs(make_tables: Callable[..., Path], federate: Callable) -> None:
    data = make_tables()
    for party in ("bank", "tax", "supply"):
        declared = read_declaration(data / party)
        signed = [
            replace(c, sign=-1 if c.name == "a" else 1 if c.name == "b" else 0) for c in declared.columns
        ]
        write_declaration(data / party, replace(declared, columns=tuple(signed)))
    signed_card = assert_equal_twins(federate(data))
    free_card = assert_equal_twins(federate(data, scorecard={"monotone": False}))
    # Column a raises the risk, so that its sign leaves one group of its values, beside that of missing ones.
    assert signed_card.tables["tax"].counts[0] == 2 < free_card.tables["tax"].counts[0]


def test_twins_give_special_values_groups_of_their_own(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    data, rng = make_tables(("tax",)), np.random.default_rng(4)
    for party in ("bank", "tax"):
        path = data / party / "table.csv"
        frame = pd.read_csv(path)
        # In the column that says most, a third of the values are a code, and a few another one.
        frame["a"] = np.select(
            [rng.random(len(frame)) < 0.33, rng.random(len(frame)) < 0.01], [-999, 7], frame["a"]
        )
        frame.to_csv(path, index=False)
        declared = read_declaration(data / party)
        columns = [replace(c, sign=1, special=(-999, 7)) if c.name == "a" else c for c in declared.columns]
        write_declaration(data / party, replace(declared, columns=tuple(columns)))
    card = assert_equal_twins(federate(data))
    groups = pd.DataFrame(dict(card.card["groups"]))
    for code in ("BAN01", "TAX01"):
        assert "-999" in groups["values"][groups["code"] == code].tolist()


def test_where_a_direction_is_demanded_a_code_is_worth_more_as_a_special_value(join: Callable) -> None:
    rng = np.random.default_rng(8)
    score, coded = rng.normal(size=3000), rng.random(3000) < 0.3
    labels = (rng.random(3000) < expit(1.5 * score - 2)).astype(np.int8)
    frame = pd.DataFrame({"d": np.where(coded, -999.0, score)})
    roles, aucs = split_by_label(labels, 0.3, 0.1, rng), {}
    for special in ((), (-999,)):
        column = Column("d", "numeric", sign=1, special=special)
        joined = replace(
            join({"bank": frame}, labels, ("bank",)),
            tables={"bank": table_of(frame, np.ones(3000, bool), [column])},
            columns={"bank": with_reasons(Declaration("table", "bank", columns=(column,)), [])},
        )
        card = fit_scorecard(joined, roles, ScorecardConfig())
        aucs[special] = roc_auc_score(labels[roles == TEST], card.log_odds[roles == TEST])
    assert card.card["groups"]["values"][-1] == "-999"
    # The codes are of average risk. As the least of all numbers they would have to be the safest.
    assert aucs[-999,] > aucs[()] + 0.02


def test_columns_without_any_value_have_no_points(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    data = make_tables(("tax",))
    for party in ("bank", "tax"):
        table = pd.read_csv(data / party / "table.csv").assign(c=np.nan, kind=np.nan)
        table.to_csv(data / party / "table.csv", index=False)
    with warnings.catch_warnings(action="ignore"):
        card = assert_equal_twins(federate(data))
    assert set(card.card["scorecard"]["name"]) == {"a", "b", "known to tax"}


@pytest.fixture
def gated(tmp_path: Path) -> Path:
    """A bank with a column that is missing for a sixth of its applicants, none of whom defaults, and a partner."""
    rng, rows = np.random.default_rng(5), 3000
    x, gate = rng.normal(size=(rows, 2)), rng.random(rows) < 0.17
    bad = (rng.random(rows) < expit(1.2 * x[:, 0] + x[:, 1] - 2)) & ~gate
    ids = [f"B{number:06d}" for number in rng.permutation(rows)]
    frames = {
        "bank": pd.DataFrame({"a": x[:, 0], "gate": np.where(gate, np.nan, 1.0), "default": bad.astype(int)}),
        "partner": pd.DataFrame({"d": x[:, 1]}),
    }
    for party, frame in frames.items():
        folder = tmp_path / "gated" / party
        folder.mkdir(parents=True)
        frame.assign(business_id=ids).to_csv(folder / "table.csv", index=False)
        columns = tuple(Column(name, "numeric") for name in frame if name != "default")
        declared = Declaration("table", party, columns=columns, file="table.csv", publish_bins=True)
        label = "default" if party == "bank" else None
        write_declaration(folder, replace(declared, label=label))
    return tmp_path / "gated"


def test_a_group_without_bads_is_kept_where_it_is_the_banks_own(gated: Path, federate: Callable) -> None:
    run = federate(gated, scorecard={"bins": 10, "min_group": 20, "exchanges": 30})
    config, federated = run.config.section(ScorecardConfig), assert_equal_twins(run)
    joined, roles = read_joined(run.config, "bank"), read_roles(run.config, "bank", 1)
    train, test = roles == TRAIN, roles == TEST
    alone = fit_scorecard(joined.of_bank(), roles, config)
    for parties, card in ((["bank"], alone), (["bank", "partner"], federated)):
        # The same bins one-hot, before any of them are merged.
        grouped = [group_columns(joined, party, train, config) for party in parties]
        codes = np.concatenate([columns.codes for columns in grouped], axis=1)
        rows = one_hot(codes, np.concatenate([columns.binning.bins for columns in grouped]))
        reference = LogisticRegression(C=config.c, max_iter=1000).fit(rows[train], joined.labels[train])
        expected = roc_auc_score(joined.labels[test], reference.decision_function(rows[test]))
        assert roc_auc_score(joined.labels[test], card.log_odds[test]) == pytest.approx(expected, abs=0.005)
        groups = pd.DataFrame(dict(card.card["groups"])).query("code == 'BAN02'")
        assert groups["values"].tolist() == ["any value", "missing"]
        assert groups["points"].iloc[1] > groups["points"].iloc[0] + 40


def test_a_pooled_scorecard_without_a_column_is_refused(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    assigned = assign_roles(run.federation, 1)
    with pytest.raises(
        ConfigError, match=r"No column reaches the information value 9 .*; lower scorecard.min-iv"
    ):
        fit_scorecard(
            read_joined(run.config, "bank").of_bank(),
            assigned.split.read(Split).roles,
            ScorecardConfig(min_iv=9.0),
        )


def test_parties_without_a_column_worth_its_place_are_left_out(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    card = assert_equal_twins(federate(make_tables(("tax",)), scorecard={"min_group": 90}))
    assert list(card.weights) == ["bank"]
    assert card.progress == []


def test_a_bank_alone_equals_the_bank_only_scorecard(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    card = assert_equal_twins(federate(make_tables(())))
    assert list(card.tables) == ["bank"]


def test_parties_may_name_themselves(make_tables: Callable[..., Path], federate: Callable) -> None:
    data = make_tables()
    write_declaration(data / "tax", replace(read_declaration(data / "tax"), name="国家税务总局"))
    run = federate(data)
    _, roles = train_federated(run)
    card = fit_scorecard(read_joined(run.config, "bank"), roles, run.config.section(ScorecardConfig))
    np.testing.assert_array_equal(
        read_scores(run.config, "bank", "federated-scorecard", 1).log_odds, card.log_odds
    )
