"""The scorecard on a dataset: how good, how near to the optimum, and what it takes, with encryption and without.

`python -m experiments.benchmarks.scorecard --data DIR --test-ids FILE --set scorecard.c=1.0` trains the federated
scorecard in one process under each engine and prints a table in Markdown: AUC, exchanges, round trips, the greatest
distance of a coefficient from scikit-learn's `LogisticRegression` with the same C on the same groups of the pooled
rows, CPU seconds of the protocol, megabytes, and `groups_told`. The optimum is that of weights without signs: the
distance means something only where `party.toml` demands none, or with `scorecard.monotone=false`.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from clients.scorecard.model import BankModel, PassiveModel
from clients.store import Store
from experiments.backends.inline import InlineGrid
from experiments.baselines.scorecard import group_columns
from experiments.dataset import Dataset, open_dataset
from experiments.joined import Joined, read_joined, read_scores
from experiments.options import Setting, TestIds
from experiments.settings import parse_settings
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.metrics import auc
from fl.splits import TEST, TRAIN, VALIDATION, Roles, Split
from server.coordinator import Trained, assign_roles, connect, train
from server.progress import ignore
from server.tracking.pages import markdown_table
from server.training import Training

CONTENDER = "federated-scorecard"

app = typer.Typer()


def run(
    dataset: Dataset, settings: list[str], test_ids: Path | None, engine: str, state: Path
) -> tuple[TrainingConfig, Trained, Roles]:
    """Train the federated scorecard under an engine, in this process."""
    config = TrainingConfig.from_mapping(
        parse_settings(settings)
        | {
            "data": str(dataset.folder),
            "parties": ",".join(dataset.parties),
            "test-ids": str(test_ids.resolve()) if test_ids else "",
            "state": str(state),
            "study": engine,
            "scorecard.encryption": engine,
        }
    )
    federation = connect(InlineGrid(config), config, ignore)
    seed = config.seeds[0]
    assigned = assign_roles(federation, seed)
    training = Training(contender=CONTENDER, seed=seed, assigned=assigned, config=config, on_progress=ignore)
    return config, train(federation, training), assigned.split.read(Split).roles


def weights_of(config: TrainingConfig, joined: Joined) -> NDArray[np.float64]:
    """All weights but the intercept, from the parties' stores, in the order of the parties."""
    bank = _model(config, joined.holder).read(BankModel).weights.joint[1:]
    passive = (_model(config, party).read(PassiveModel).weights for party in joined.coverage)
    return np.concatenate([bank, *passive])


def optimum(config: TrainingConfig, joined: Joined, roles: Roles) -> NDArray[np.float64]:
    """scikit-learn's coefficients on the one-hot groups of the pooled training rows, in the same order."""
    training, blocks, card = roles == TRAIN, [], config.section(ScorecardConfig)
    for party in joined.tables:
        grouped = group_columns(joined, party, training, card)
        grouping = grouped.evidence.grouping
        groups = grouping.transform(grouped.codes[training])
        blocks += [
            column[:, None] == np.arange(n) for column, n in zip(groups.T, grouping.counts, strict=True)
        ]
        if party == joined.holder:
            masks = (known[training] for known in joined.coverage.values())
            blocks += [np.stack([known, ~known], 1) for known in masks if known.any() and not known.all()]
    model = LogisticRegression(C=card.c, tol=1e-10, max_iter=100_000)
    model.fit(np.concatenate(blocks, axis=1), joined.labels[training])
    return np.asarray(model.coef_[0], np.float64)


def groups_told(config: TrainingConfig, joined: Joined, roles: Roles) -> float:
    """The share of the passive parties' reasons whose points lost belong to one group of the column only.

    For these the bank knows an applicant's group, where it has seen the column's points.
    """
    alone, told = 0, 0
    for party in joined.coverage:
        table = _model(config, party).read(PassiveModel).table
        if not len(table.columns):
            continue
        grouped = group_columns(joined, party, roles == TRAIN, config.section(ScorecardConfig))
        columns, lost = table.reasons(grouped.evidence.grouping.transform(grouped.codes))
        for column, points in zip(table.columns, table.by_column, strict=True):
            values, groups = np.unique(points.max() - points, return_counts=True)
            of_column = lost[columns == column]
            alone, told = alone + int(np.isin(of_column, values[groups == 1]).sum()), told + len(of_column)
    return alone / max(1, told)


def _model(config: TrainingConfig, party: str) -> Store:
    return Store(Path(config.state, party, config.study, CONTENDER, str(config.seeds[0])))


def measure(
    dataset: Dataset, settings: list[str], test_ids: Path | None, engine: str, state: Path
) -> dict[str, str]:
    """A row of the table."""
    config, trained, roles = run(dataset, settings, test_ids, engine, state)
    joined, costs = read_joined(config, dataset.holder), trained.costs
    scored = read_scores(config, dataset.holder, CONTENDER, config.seeds[0]).pd
    aucs = {role: auc(joined.labels[roles == role], scored[roles == role]) for role in (VALIDATION, TEST)}
    distance = np.abs(weights_of(config, joined) - optimum(config, joined, roles)).max()
    return {
        "engine": engine,
        "validation AUC": f"{aucs[VALIDATION]:.4f}",
        "test AUC": f"{aucs[TEST]:.4f}",
        "exchanges": str((costs.round_trips - 7) // 4),
        "round trips": str(costs.round_trips),
        "distance": f"{distance:.1e}",
        "CPU s": f"{costs.cpu_seconds:.1f}",
        "MB": f"{(costs.bytes_up + costs.bytes_down) / 1e6:.1f}",
        "groups told": f"{groups_told(config, joined, roles):.0%}",
    }


@app.command(help=__doc__)
def main(
    data: Annotated[Path, typer.Option()],
    test_ids: TestIds = None,
    engines: str = "lattice,plain",
    settings: Setting = [],  # noqa: B006
) -> None:
    """Train under each engine and print a line for each."""
    dataset = open_dataset(data)
    with tempfile.TemporaryDirectory(prefix="siloscore-") as state:
        rows = [measure(dataset, settings, test_ids, engine, Path(state)) for engine in engines.split(",")]
    print(markdown_table(pd.DataFrame(rows)))


if __name__ == "__main__":
    app()
