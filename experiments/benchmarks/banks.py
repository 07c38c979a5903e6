"""What settings of several banks' boosting are worth, and what noise on their sums costs.

`python -m experiments.benchmarks.banks DIR boosting.min-leaf-count=80 banks.epsilon=3` trains on the banks'
tables of a dataset, in this process and without messages: first every bank alone, then all banks together with the
defaults and with each variant, a list of settings. Prints the test AUC of each bank and of all rows, and beside it the
expected AUC under the true PD where the dataset has it; means over the seeds of training.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from clients.aligned import Applications, applications_of_rows, table_of
from clients.banks import schema_of
from clients.parties import open_party
from experiments.baselines import boosting
from experiments.dataset import open_dataset
from experiments.joined import Joined, has_truth, read_true_pd
from experiments.settings import parse_settings
from fl.banks.grid import Schema
from fl.banks.program import Rows
from fl.banks.programs import program_of
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.metrics import auc, expected_auc
from fl.splits import TEST, split_by_label, split_by_vintage
from server.tracking.pages import markdown_table

app = typer.Typer()
Floats = NDArray[np.float64]


class Bank:
    """One bank's rows in the roles of a study, the same rows as a joined table of one party, and their true PDs."""

    def __init__(self, data: Path, name: str, config: TrainingConfig) -> None:
        party = open_party(data / name)
        frame = party.applications()
        self.applications: Applications = applications_of_rows(frame)
        ids, labels, months = self.applications.ids, self.applications.labels, self.applications.months
        columns = party.declaration.columns
        table = table_of(party.matrix(ids, months, special=True), np.ones(len(ids), bool), columns)
        shares = config.test_share, config.validation_share
        self.rows = Rows(
            name=name,
            table=table,
            labels=labels,
            roles=split_by_label(labels, *shares, np.random.default_rng(1))
            if np.isnat(months).any()
            else split_by_vintage(months, *shares),
            signs={column.name: column.sign for column in columns},
            segments=self.applications.segments,
        )
        self.schema: Schema = schema_of(party.declaration, table)
        self.joined = Joined(
            name, {name: table}, self.applications, {}, {name: {one.name: one for one in columns}}
        )
        self.true_pd = read_true_pd(data, ids) if has_truth(data) else None


def banks_of(data: Path, config: TrainingConfig) -> list[Bank]:
    """The banks of a dataset."""
    return [Bank(data, name, config) for name in sorted(open_dataset(data).holders)]


def together(
    banks: list[Bank], config: TrainingConfig, seed: int, contender: str = "banks-boosting"
) -> list[Floats]:
    """Every bank's log odds (n,) by a model of all banks."""
    program = program_of(contender, config, seed, banks[0].schema, len(banks))
    every = [bank.rows for bank in banks]
    states = [program.begin(rows) for rows in every]
    while (addends := [program.addend(*each) for each in zip(every, states, strict=True)])[0] is not None:
        total = np.sum(addends, axis=0)
        states = [program.advance(*each, total) for each in zip(every, states, strict=True)]
    return [program.log_odds(*each) for each in zip(every, states, strict=True)]


def alone(bank: Bank, config: TrainingConfig, seed: int) -> Floats:
    """A bank's log odds (n,) by boosting of its own rows."""
    return boosting.train(bank.joined, bank.rows.roles, seed, config.section(BoostingConfig)).log_odds


def judged(banks: list[Bank], scores: list[Floats]) -> dict[str, float]:
    """The AUC of each bank's test rows and of all, and the expected ones."""
    parts = {bank.rows.name: [number] for number, bank in enumerate(banks)}
    parts["all"] = list(range(len(banks)))
    figures = {}
    for name, numbers in parts.items():
        tests = [banks[number].rows.roles == TEST for number in numbers]
        labels = np.concatenate([banks[n].rows.labels[test] for n, test in zip(numbers, tests, strict=True)])
        of_rows = np.concatenate([scores[n][test] for n, test in zip(numbers, tests, strict=True)])
        figures[name] = auc(labels, of_rows)
        truth = [banks[n].true_pd for n in numbers]
        if all(values is not None for values in truth):
            true_pd = np.concatenate([values[test] for values, test in zip(truth, tests, strict=True)])
            figures[f"{name} (expected)"] = expected_auc(true_pd, of_rows)
    return figures


@app.command(help=__doc__)
def main(data: Path, variants: list[str], seeds: int = 3) -> None:
    """Print a table in Markdown, a row for each variant."""
    default = TrainingConfig()
    banks = banks_of(data, default)
    rows = []
    for variant in ("each bank alone", "all banks", *variants):
        settings = "" if " " in variant else variant
        config = TrainingConfig.from_mapping(parse_settings(settings.split(",") if settings else []))
        config = replace(config, data=str(data))
        figures = [
            judged(
                banks,
                [alone(bank, config, seed) for bank in banks]
                if variant == "each bank alone"
                else together(banks, config, seed),
            )
            for seed in range(1, seeds + 1)
        ]
        rows.append({"variant": variant, **pd.DataFrame(figures).mean().round(4)})
    print(markdown_table(pd.DataFrame(rows)))


if __name__ == "__main__":
    app()
