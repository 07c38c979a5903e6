"""The bank's reserve model: trained once per seed by a step of its own, and heard on businesses that nobody knows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.aligned import known_to_none, read_coverage, read_table
from clients.forests import BankModel
from clients.reserve import reserve_log_odds, reserve_model
from clients.scores import Scores
from clients.store import Store
from experiments.backends.inline import InlineGrid
from experiments.baselines.boosting import train as train_boosting
from experiments.joined import read_joined, read_roles, read_scores
from fl.config.boosting import BoostingConfig
from fl.messages import DIGITS
from fl.protocols import vertical_contenders
from fl.reserve import RESERVE
from fl.splits import TEST
from server.coordinator import assign_roles, coordinate, train, train_reserve
from server.progress import Progress, ignore
from server.training import Training

pytestmark = pytest.mark.usefixtures("quick_tracking")


def trained(run, contender: str) -> np.ndarray:
    """Train the reserve model and a contender under seed 1; the roles of all rows."""
    assigned = assign_roles(run.federation, 1)
    train_reserve(run.federation, assigned, 1, ignore)
    training = Training(contender=contender, seed=1, assigned=assigned, config=run.config, on_progress=ignore)
    train(run.federation, training)
    return read_roles(run.config, "bank", 1)


@pytest.mark.parametrize("boosting", [{}, {"trees": 9, "patience": 2, "goss_top": 0.3}, {"calibrate": False}])
def test_it_is_the_boosting_of_the_bank_alone(tables: Path, federate: Callable, boosting: dict) -> None:
    run = federate(tables, boosting=boosting)
    events: list[Progress] = []
    train_reserve(run.federation, assign_roles(run.federation, 1), 1, events.append)

    bank, roles = read_joined(run.config, "bank").of_bank(), read_roles(run.config, "bank", 1)
    alone = train_boosting(bank, roles, 1, run.config.section(BoostingConfig))
    study = Store(Path(run.config.state, "bank", "s"))
    log_odds = reserve_log_odds(study, 1, read_table(study), run.config)
    np.testing.assert_array_equal(log_odds, alone.log_odds)
    np.testing.assert_array_equal(read_scores(run.config, "bank", RESERVE, 1).log_odds, alone.log_odds)
    told = [{name: round(figure, DIGITS) for name, figure in look.items()} for look in alone.curve]
    assert [dict(event.metrics) for event in events if event.metrics] == told
    assert len(np.unique(log_odds)) > 3


def test_contenders_of_a_seed_share_it(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    kept = []
    assigned = assign_roles(run.federation, 1)
    train_reserve(run.federation, assigned, 1, ignore)
    for contender in ("federated-boosting", "federated-network"):
        training = Training(
            contender=contender, seed=1, assigned=assigned, config=run.config, on_progress=ignore
        )
        train(run.federation, training)
        files = reserve_model(Store(Path(run.config.state, "bank", "s")), 1).folder.iterdir()
        kept.append({path.name: path.stat().st_mtime_ns for path in files})
    assert kept[0] == kept[1]


def test_the_bank_alone_needs_none(
    make_tables: Callable[..., Path], federate: Callable, tmp_path: Path
) -> None:
    logged = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db", "register": False}
    config = federate(make_tables(()), contenders=("federated-boosting",), **logged).config
    config = replace(config, study="alone")
    coordinate(InlineGrid(config), config, ignore)
    study = Store(Path(config.state, "bank", "alone"))
    assert Store(study.folder / "federated-boosting" / "1").has(BankModel)
    assert not (study.folder / RESERVE).exists()


# A blend is of these, and has tests of its own.
@pytest.mark.parametrize("contender", [name for name in vertical_contenders() if name != "federated-blend"])
def test_it_has_a_say_on_whom_no_party_knows_unless_the_score_is_of_another_kind(
    tables: Path, federate: Callable, contender: str
) -> None:
    run = federate(tables)
    roles = trained(run, contender)
    study = Store(Path(run.config.state, "bank", "s"))
    nobody = known_to_none(read_coverage(study), len(roles))
    assert 0.05 < nobody.mean() < 0.15  # two parties know 70 % each

    kept, table, coverage = Store(study.folder / contender / "1"), read_table(study), read_coverage(study)
    scorer = vertical_contenders()[contender].half("clients")
    contributions = {
        party: scorer.contribution(
            Store(Path(run.config.state, party, "s", contender, "1")),
            read_table(Store(Path(run.config.state, party, "s"))),
            run.config,
        )
        for party in coverage
    }
    federated = scorer.log_odds(kept, table, coverage, contributions, run.config)
    both = (federated + reserve_log_odds(study, 1, table, run.config)) / 2

    expected = federated if scorer.ANSWERS_ALL else np.where(nobody, both, federated)
    test = roles == TEST
    np.testing.assert_array_equal(kept.read(Scores).log_odds[test], expected[test])
    assert (contender == "federated-scorecard") == scorer.ANSWERS_ALL
    assert not np.isclose(both, federated)[nobody].any()
