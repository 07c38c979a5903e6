from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.backends.inline import InlineGrid
from experiments.dataset import Dataset, open_dataset
from experiments.estimate import calibration
from experiments.estimate.calibration import EngineCosts, Line
from experiments.estimate.forecast import BACKENDS, Estimate, estimates
from experiments.estimate.formulas import megabytes, plan_of, sizes_of
from experiments.made_tables import write_tables
from experiments.settings import parse_settings
from fl.config.blend import BlendConfig
from fl.config.run import TrainingConfig
from fl.encrypted_sums.packing import Packing
from fl.workload import EncryptedSums, Plan, Sizes, Workload
from server.coordinator import assign_roles, connect, train, train_reserve
from server.progress import ignore
from server.training import Training

SETTINGS = (
    *(
        "boosting.trees=3",
        "boosting.parallel=1",
        "boosting.depth=4",
        "boosting.row-share=1",
        "boosting.column-share=1",
    ),
    *("boosting.l2=10", "boosting.patience=0", "boosting.min-leaf-count=1", "boosting.min-leaf-weight=0"),
    *("network.batches=6", "network.batch-size=128"),
    *("scorecard.exchanges=3", "scorecard.settled=0", "scorecard.max-p=1"),
)
SIZES = Sizes(
    training=600,
    validation=150,
    test=250,
    bank_columns=4,
    columns={"tax": (300, 300, 300, 2, 3, 4), "utility": (300, 2)},
    known={"tax": 1.0, "utility": 0.5},
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("made")
    write_tables(folder, 1_000, {"bank": 4, "tax": 6, "utility": 4})
    return open_dataset(folder)


def config_of(dataset: Dataset, *settings: str) -> TrainingConfig:
    config = TrainingConfig.from_mapping(parse_settings([*SETTINGS, *settings]))
    return replace(config, data=str(dataset.folder), parties=dataset.parties, study="made")


def test_sizes_are_those_of_the_declared_columns_and_of_the_ids_in_common(
    dataset: Dataset, tmp_path: Path
) -> None:
    sizes = sizes_of(dataset, config_of(dataset))

    assert (sizes.training, sizes.validation, sizes.test) == (600, 150, 250)
    assert (sizes.bank_columns, sizes.columns) == (4, {"tax": 6 * (1_000,), "utility": 4 * (1_000,)})
    assert sizes.known == {"tax": 1.0, "utility": 1.0}
    ids = tmp_path / "ids.csv"
    ids.write_text("000000001\n000000002\n")
    fixed = sizes_of(dataset, replace(config_of(dataset), test_ids=str(ids)))
    assert (fixed.test, fixed.validation) == (2, 150)


SAMPLES = ("boosting.parallel=3", "boosting.row-share=0.5", "boosting.column-share=0.5", "boosting.trees=9")


@pytest.mark.slow
@pytest.mark.parametrize("settings", [(), SAMPLES], ids=["one tree a round", "parallel trees"])
def test_round_trips_and_bytes_are_nearly_those_of_the_training(
    dataset: Dataset, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    config = replace(config_of(dataset, *settings), state=str(tmp_path))
    sizes = sizes_of(dataset, config)
    federation = connect(InlineGrid(config), config, ignore)
    assigned = assign_roles(federation, 1)
    train_reserve(federation, assigned, 1, ignore)
    # What is sent depends on splits and on how many columns stay, which only the data tell; in the network on nothing.
    for name, off in {
        "federated-network": 0.02,
        "federated-boosting": 0.15,
        "federated-scorecard": 0.25,
    }.items():
        training = Training(contender=name, seed=1, assigned=assigned, config=config, on_progress=ignore)

        costs = train(federation, training).costs

        plan = plan_of(name, config, sizes)
        assert plan is not None
        assert plan.round_trips == costs.round_trips, name
        moved = (costs.bytes_up + costs.bytes_down) / 1e6
        assert megabytes(plan, plan.rounds) == pytest.approx(moved, rel=off), name


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ((), 7 + 3 * 8),
        (("boosting.ahead=level",), 5 + 3 * 10),
        (("boosting.ahead=none",), 7 + 3 * 16),
        (("boosting.parallel=2",), 5 + 2 * 10),
        (("boosting.sealed-sides=false",), 7 + 3 * 12),
        (("boosting.sealed-sides=false", "boosting.ahead=level"), 7 + 3 * 13),
    ],
)
def test_round_trips_of_boosting_are_those_of_its_description(settings: tuple[str, ...], most: int) -> None:
    config = TrainingConfig.from_mapping(parse_settings([*SETTINGS, *settings]))

    plan = plan_of("federated-boosting", config, SIZES)

    assert plan is not None
    assert plan.once.round_trips + plan.rounds * plan.each.round_trips == most


def test_a_column_has_no_more_bins_than_values() -> None:
    plan = plan_of(
        "federated-boosting",
        TrainingConfig.from_mapping(parse_settings([*SETTINGS, "boosting.bins=32"])),
        SIZES,
    )

    assert plan is not None
    (root, *_) = plan.each.sums
    # A column's last bin is not told.
    assert {party: bins.tolist() for party, bins in root.bins.items()} == {
        "tax": [31, 31, 31, 3, 2, 1],
        "utility": [31, 1],
    }


@pytest.mark.parametrize("engine", ["lattice", "paillier"])
@pytest.mark.parametrize("grows", ["rows", "groups", "columns"])
def test_more_work_is_never_estimated_to_cost_less(engine: str, grows: str) -> None:
    costs = EngineCosts(encryption=2.0, arrival=3.0, product=0.1, reply=4.0, decryption=0.7)
    spent = []
    for times in (1, 2, 4, 8, 16):
        size = {"rows": 1_000, "groups": 2, "columns": 10}
        size[grows] *= times
        bins = np.full(size["columns"], 11)
        sums = EncryptedSums(rows=size["rows"], groups=size["groups"], bins={"tax": bins})
        part = Workload(round_trips=1, rows=0, letters=0, sums=(sums,))
        plan = Plan(rounds=1, once=part, each=part, engine=engine, packing=Packing(16_000, ((-9, 9),)))
        spent.append((costs.of_owner(plan, part), costs.of_parties(plan, part)["tax"], megabytes(plan, 0)))

    assert (np.diff(spent, axis=0) >= 0).all()


def test_an_engine_is_timed_by_the_requests_of_a_plan() -> None:
    plan = plan_of("federated-boosting", TrainingConfig.from_mapping(parse_settings(SETTINGS)), SIZES)
    assert plan is not None

    costs = calibration.engine_costs(plan)

    assert min(costs.encryption, costs.decryption) > 0
    assert all(seconds > 0 for seconds in costs.of_parties(plan, plan.each).values())
    assert calibration.engine_costs(replace(plan, engine="plain")) == EngineCosts()


@pytest.mark.parametrize(
    ("settings", "rounds"),
    [((), (17, 133, 7)), (("scorecard.settled=0", "network.patience=28"), (17, 140, 30))],
)
def test_training_is_estimated_for_the_rounds_that_it_usually_takes(
    settings: tuple[str, ...], rounds: tuple[int, ...]
) -> None:
    config = TrainingConfig.from_mapping(parse_settings([*settings]))

    plans = [plan_of(f"federated-{name}", config, SIZES) for name in ("boosting", "network", "scorecard")]

    assert tuple(plan.rounds for plan in plans if plan) == rounds


def test_a_line_goes_through_two_points_and_never_falls() -> None:
    assert Line.through((100, 300), (2.0, 3.0)) == Line(1.5, 0.005)
    assert Line.through((100, 300), (2.0, 3.0)).at(1_000) == 6.5
    assert Line.through((100, 300), (3.0, 2.0)) == Line(3.0, 0.0)
    assert Line.through((100, 300), (0.0, 5.0)).at(0) == 0
    assert Line(1.5, 0.005).raised(2.0).at(100) == 4.0


@pytest.mark.parametrize(
    ("study", "rehearsed"),
    [(2_000, 8_000), (50_000, 20_000), (1_000_000, 64_000)],
)
def test_a_larger_study_is_rehearsed_on_larger_tables_up_to_a_size(study: int, rehearsed: int) -> None:
    assert calibration.rehearsed_rows(study) == (1_600, rehearsed)


def test_every_id_is_blinded_by_all_who_take_part() -> None:
    ids = calibration.blinded_ids(SIZES)

    # The tax office has all 1,000 applicants among its own, the utility 500; the bank blinds theirs and its own.
    assert ids == {"": 2_500.0, "tax": 2_000.0, "utility": 1_500.0}


def test_parties_work_at_the_same_time_but_for_a_backend_of_one_process() -> None:
    one = Estimate(
        contender="x",
        round_trips=100,
        alone=5.0,
        together={"tax": 8.0, "utility": 2.0},
        parties={"tax": 30.0, "utility": 10.0},
    )

    assert one.cpu_seconds == 55
    assert one.seconds("inline", cores=4) == 5 + 10 + 10 + 100 * BACKENDS["inline"].round_trip
    assert one.seconds("simulation", cores=4) == 5 + 8 + 15 + 100 * BACKENDS["simulation"].round_trip
    assert one.seconds("deployment", cores=4) == 5 + 8 + 10 + 100 * BACKENDS["deployment"].round_trip
    assert one.seconds("simulation", cores=1) == 5 + 10 + 40 + 100 * BACKENDS["simulation"].round_trip
    idle = Estimate(contender="x", round_trips=100, alone=1.0)
    assert idle.seconds("simulation", cores=1) == 100 * BACKENDS["simulation"].least
    twice_more = one.plus(one, 2)
    assert twice_more.parties == {"tax": 90.0, "utility": 30.0}
    assert twice_more.together == {"tax": 24.0, "utility": 6.0}


def test_an_estimate_has_a_line_for_everything_that_takes_time(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "REHEARSED_ROWS", (300, 600, 600))
    config = replace(config_of(dataset), seeds=(1, 2))

    table = estimates(dataset, config, ("federated-scorecard", "pooled-scorecard", "true-pd"))

    # Every federation trains the bank's reserve model, too.
    assert table["contender"].tolist() == [
        *(
            "start, alignment",
            "bank-only-boosting",
            "federated-scorecard",
            "  each round",
            "pooled-scorecard",
            "evaluation, figures",
        ),
        "in all",
    ]
    assert table["round_trips"].tolist() == [6, 0, 7 + 3 * 4, 4, 0, 0, 6 + 2 * 19]
    assert (table["cpu_seconds"] > 0).all()
    assert (table["deployment"] > table["simulation"])[table["round_trips"] > 0].all()


@pytest.mark.slow
def test_a_blend_is_one_step_after_its_members(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "REHEARSED_ROWS", (300, 600, 600))
    config = config_of(dataset).with_section(BlendConfig(members=("boosting", "scorecard")))

    table = estimates(dataset, config, ("bank-only-blend", "federated-blend"))

    assert table["contender"].tolist() == [
        *("start, alignment", "bank-only-boosting", "bank-only-scorecard", "bank-only-blend"),
        *(
            "federated-boosting",
            "  each round",
            "federated-scorecard",
            "  each round",
            "federated-blend",
            "evaluation, figures",
            "in all",
        ),
    ]
    assert table.set_index("contender").loc["federated-blend", "round_trips"] == 1
