"""What the blend is worth: beside its members, the pooled trees, and the member that validation would have chosen.

`python -m experiments.benchmarks.blend --economies 81,82,83,84,85` simulates the economies, each trained under its own
seed; with `--data DIR --test-ids FILE` the dataset is trained under each of `--seeds`, too, and every seed has other
noise in the network. It prints a table in Markdown: the test AUC of each contender, and the difference of the blend to
`pooled-trees` and to the member with the best validation AUC, by table, over the economies, and over all. Boosting and
the scorecard are the same under every engine of encryption, so `plain` saves time.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import typer

from experiments.dataset import Dataset, open_dataset
from experiments.economies import economy
from experiments.options import Setting
from experiments.settings import parse_settings
from experiments.study import FinishedStudy, run_unkept
from fl.config.blend import BlendConfig
from fl.config.run import TrainingConfig
from fl.metrics import auc
from fl.splits import TEST, VALIDATION
from server.tracking.pages import markdown_table

app = typer.Typer()

_BLEND, _POOLED = "federated-blend", "pooled-trees"
_CHOSEN = "chosen by validation"


def judged(outcome: FinishedStudy, seed: int) -> "pd.Series[float]":
    """The test AUC of every contender under a seed, and of the blend's member with the best validation AUC."""
    labels, roles = outcome.joined.labels, outcome.roles[seed]

    def aucs(role: int) -> dict[str, float]:
        rows = roles == role
        return {name: auc(labels[rows], pd[rows]) for (name, its), pd in outcome.pds.items() if its == seed}

    test, validation = aucs(TEST), aucs(VALIDATION)
    members = [name for name in test if name.startswith("federated-") and name != _BLEND]
    return pd.Series({**test, _CHOSEN: test[max(members, key=validation.__getitem__)]})


def studies(
    config: TrainingConfig, economies: str, businesses: int, data: str, test_ids: str
) -> Iterator["pd.Series[float]"]:
    """The AUCs of every economy, and of the dataset under every seed, named by the table."""
    for number in map(int, filter(None, economies.split(","))):
        with economy("base", number, businesses) as dataset:
            outcome = _study(dataset, replace(config, seeds=(number,)))
        yield judged(outcome, number).rename(f"economy {number}")
    if data:
        ids = str(Path(test_ids).resolve()) if test_ids else ""
        outcome = _study(open_dataset(Path(data)), replace(config, test_ids=ids))
        for seed in config.seeds:
            yield judged(outcome, seed).rename(f"{Path(data).name}, seed {seed}")


def table(aucs: pd.DataFrame) -> str:
    """Markdown of a frame with a row per table and a column per contender, with differences and means."""
    aucs = aucs.assign(**{f"blend − {name}": aucs[_BLEND] - aucs[name] for name in (_POOLED, _CHOSEN)})
    economies = aucs[aucs.index.str.startswith("economy ")]
    means = {"mean of economies": economies.mean(), "mean of all": aucs.mean()}
    rows = pd.concat([aucs, pd.DataFrame(means).T]).dropna()
    return markdown_table(rows.map("{:.4f}".format).rename_axis("table").reset_index())


@app.command(help=__doc__)
def main(
    economies: str = "",
    businesses: int = 20_000,
    data: str = "",
    test_ids: str = "",
    seeds: str = "1,2,3",
    settings: Setting = ["boosting.encryption=plain", "scorecard.encryption=plain"],  # noqa: B006
) -> None:
    """Run the studies, say the AUCs of each as it ends, and print the table."""
    config = TrainingConfig.from_mapping({**parse_settings(settings), "seeds": seeds})
    found = []
    for one in studies(config, economies, businesses, data, test_ids):
        print(one.name, one.round(4).to_dict(), flush=True)
        found.append(one)
    print(f"\n{table(pd.DataFrame(found))}")


def _study(dataset: Dataset, config: TrainingConfig) -> FinishedStudy:
    members = [f"federated-{name}" for name in config.section(BlendConfig).members]
    return run_unkept(dataset, config, (*members, _BLEND, _POOLED))


if __name__ == "__main__":
    app()
