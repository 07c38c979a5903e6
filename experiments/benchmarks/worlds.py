"""What a federation brings in each synthetic world, over several economies.

`python -m experiments.benchmarks.worlds --worlds base,no-partner-signal --seeds 1,2,3,4,5` simulates an economy of
20,000 applicants per world and seed, runs the study on it in one process, and prints a table in Markdown: means over
the seeds, and the standard error of each mean. A single test set of 5,000 rows tells little: its AUC has a standard
deviation of 0.018. The true PD is left out unless `--truth` asks for it, since it takes most of the time.
`--contenders` names others than those of a standard study; bank-only-trees and pooled-trees must be among them.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from scipy import stats

from experiments.comparison.summary import GAIN
from experiments.contenders import all_contenders
from experiments.economies import economy
from experiments.options import Setting
from experiments.settings import parse_settings
from experiments.study import run_unkept
from fl.config.run import TrainingConfig
from server.tracking.pages import markdown_table

app = typer.Typer()


def study_of_world(
    world: str, seed: int, businesses: int, truth: bool, config: TrainingConfig, contenders: tuple[str, ...]
) -> "pd.Series[float]":
    """The AUC of every contender in one economy, by name."""
    with economy(world, seed, businesses, truth) as dataset:
        outcome = run_unkept(dataset, replace(config, seeds=(seed,)), contenders)
        return outcome.comparison.set_index("contender")["auc"].rename(str(seed))


def summary(aucs: pd.DataFrame) -> str:
    """Markdown table of a frame with a row per contender and a column per seed.

    Uplift is over the bank alone by the same algorithm; the true PD's is over its trees. recovered is the share of the
    gain of pooling, and a dash unless that is above noise: unless its 95 % interval over the economies lies above zero.
    """
    by_the_same = [f"bank-only-{name.rpartition('-')[2]}" for name in aucs.index]
    uplift = aucs - aucs.loc[[name if name in aucs.index else GAIN[0] for name in by_the_same]].to_numpy()
    mean = aucs.mean(axis=1)
    alone, pooled = mean[list(GAIN)]
    gains = aucs.loc[GAIN[1]] - aucs.loc[GAIN[0]]
    is_gain = gains.mean() - stats.t.ppf(0.975, len(gains) - 1) * gains.sem() > 0
    recovered = (mean - alone) / (pooled - alone if is_gain else np.nan)
    columns = {
        "contender": aucs.index.to_series(),
        "AUC": mean.map("{:.4f}".format),
        "±": aucs.sem(axis=1).map("{:.4f}".format),
        "Gini": (2 * mean - 1).map("{:.3f}".format),
        "uplift over bank-only": uplift.mean(axis=1).map("{:+.4f}".format),
        "± (uplift)": uplift.sem(axis=1).map("{:.4f}".format),
        "recovered": recovered.map("{:.0%}".format, na_action="ignore").fillna("–"),
    }
    return markdown_table(pd.DataFrame(columns))


@app.command(help=__doc__)
def main(
    worlds: str = "base,no-partner-signal",
    seeds: str = "1,2,3,4,5",
    businesses: int = 20_000,
    truth: Annotated[bool, typer.Option("--truth")] = False,
    contenders: str = ",".join(all_contenders()),
    settings: Setting = [],  # noqa: B006
) -> None:
    """Run the worlds and print a table for each."""
    config = TrainingConfig.from_mapping({**parse_settings(settings), "seeds": seeds})
    names = tuple(contenders.split(","))
    for world in worlds.split(","):
        aucs = [study_of_world(world, seed, businesses, truth, config, names) for seed in config.seeds]
        print(f"\n{world}, {len(aucs)} economies\n\n{summary(pd.concat(aucs, axis=1))}", flush=True)


if __name__ == "__main__":
    app()
