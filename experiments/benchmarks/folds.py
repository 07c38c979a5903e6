"""What a setting of boosting is worth, by cross-validation on training rows.

`python -m experiments.benchmarks.folds boosting.bins=16 boosting.bins=10,boosting.depth=3` compares variants of the
defaults, each a list of settings, by the pooled twin, which equals federated boosting bit for bit. It simulates the
economies of `--seeds`; with `--data DIR --test-ids FILE` it takes a dataset. The rows that would train or validate are
cut into folds; each fold judges a model of the others, a share of which stops the training. No test row is looked at.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import typer

from experiments.backends import open_backend
from experiments.baselines import boosting
from experiments.dataset import Dataset, open_dataset
from experiments.economies import economy
from experiments.joined import Joined, read_joined, read_roles
from experiments.settings import parse_settings
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.metrics import auc
from fl.splits import TEST, Roles, split_given_test
from server.progress import ignore
from server.tracking.pages import markdown_table

app = typer.Typer()


def judged(joined: Joined, roles: Roles, config: BoostingConfig, folds: int) -> dict[str, float]:
    """Mean AUC over folds of the rows that are not TEST, and how many rounds were grown."""
    rng, labels = np.random.default_rng(1), joined.labels
    fold = rng.permutation(len(labels)) % folds
    aucs, rounds = [], []
    for number in range(folds):
        judging = (fold == number) & (roles != TEST)
        split = split_given_test(labels, judging | (roles == TEST), 0.2, rng)
        fitted = boosting.train(joined, split, 1, config)
        aucs.append(auc(labels[judging], fitted.log_odds[judging]))
        rounds.append(len(fitted.curve))
    return {"AUC": float(np.mean(aucs)), "rounds": float(np.mean(rounds))}


def aligned(dataset: Dataset, test_ids: str) -> tuple[Joined, Roles]:
    """The joined table of a dataset and its roles under seed 1."""
    with TemporaryDirectory(prefix="siloscore-") as folder:
        config = replace(
            TrainingConfig(data=str(dataset.folder), parties=tuple(dataset.parties), study="folds"),
            contenders=(),
            state=folder,
            tracking_uri=f"sqlite:///{folder}/mlflow.db",
            test_ids=str(Path(test_ids).resolve()) if test_ids else "",
        )
        with open_backend("inline", len(dataset.parties)) as run_federation:
            run_federation(config, ignore)
        return read_joined(config, dataset.holder), read_roles(config, dataset.holder, 1)


def tables(data: str, test_ids: str, seeds: str, businesses: int) -> Iterator[tuple[str, Joined, Roles]]:
    """By name the dataset, or the economies of these seeds."""
    for seed in [""] if data else seeds.split(","):
        with nullcontext(open_dataset(Path(data))) if data else economy("base", int(seed), businesses) as one:
            yield Path(data).name or f"economy {seed}", *aligned(one, test_ids)


@app.command(help=__doc__)
def main(
    variants: list[str],
    data: str = "",
    test_ids: str = "",
    seeds: str = "91,92,93,94,95",
    businesses: int = 20_000,
    folds: int = 5,
) -> None:
    """Print a table in Markdown, a row for each table and variant."""
    rows = [
        {"table": name, "variant": variant, **judged(joined, roles, _boosting(variant), folds)}
        for name, joined, roles in tables(data, test_ids, seeds, businesses)
        for variant in variants
    ]
    print(markdown_table(pd.DataFrame(rows).round({"AUC": 4, "rounds": 1})))


def _boosting(variant: str) -> BoostingConfig:
    return TrainingConfig.from_mapping(parse_settings(variant.split(","))).section(BoostingConfig)


if __name__ == "__main__":
    app()
