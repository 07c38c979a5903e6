"""What a federation brings in each synthetic world, over several economies.

`python -m experiments.benchmarks.worlds --worlds base,no-partner-signal --seeds 1,2,3,4,5` simulates an economy of
20,000 applicants per world and seed, runs the study on it in one process, and prints a table in Markdown: means over
the seeds, and the standard error of each mean. A single test set of 5,000 rows tells little: its AUC has a standard
deviation of 0.018. The true PD is left out unless `--truth` asks for it, since it takes most of the time.
`--contenders` names others than those of a standard study; bank-only-trees and pooled-trees must be among them.
"""

import argparse

import pandas as pd

from experiments.comparison.results import GAIN, compare
from experiments.economies import economy
from experiments.settings import parse_settings
from experiments.study import ALL, run_study
from fl.config.run import RunConfig
from server.coordinator import new_study_name
from server.progress import ignore
from server.tracking.pages import markdown_table


def study_of_world(
    world: str,
    seed: int,
    businesses: int,
    truth: bool,
    settings: list[str],
    contenders: tuple[str, ...] = ALL,
) -> "pd.Series[float]":
    """The AUC of every contender in one economy, by name."""
    with economy(world, seed, businesses, truth) as dataset:
        own = {
            "data": str(dataset.folder),
            "parties": ",".join(dataset.parties),
            "seeds": str(seed),
            "study": new_study_name(str(dataset.folder)),
            "tracking-uri": f"sqlite:///{dataset.folder.parent}/mlflow.db",
        }
        config = RunConfig.from_mapping(parse_settings(settings) | own)
        outcome = run_study(dataset, config, contenders, "inline", ignore)
        return compare(outcome.results).set_index("contender")["auc"].rename(str(seed))


def summary(aucs: pd.DataFrame) -> str:
    """Markdown table of a frame with a row per contender and a column per seed.

    Uplift is over the bank alone by the same algorithm; the true PD's is over its trees.
    """
    alone, pooled = (aucs.loc[name] for name in GAIN)
    gain = pooled.mean() - alone.mean()
    rows = []
    for name, values in aucs.iterrows():
        alone_by_the_same = f"bank-only-{str(name).rpartition('-')[2]}"
        uplift = values - aucs.loc[alone_by_the_same if alone_by_the_same in aucs.index else GAIN[0]]
        recovered = (values.mean() - alone.mean()) / gain
        aucs_text = f"{values.mean():.4f}", f"{values.sem():.4f}", f"{2 * values.mean() - 1:.3f}"
        rows.append((name, *aucs_text, f"{uplift.mean():+.4f}", f"{uplift.sem():.4f}", f"{recovered:.0%}"))
    titles = ["contender", "AUC", "±", "Gini", "uplift over bank-only", "±", "recovered"]
    return markdown_table(pd.DataFrame(rows, columns=titles))


def main() -> None:
    """Run the worlds and print a table for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", default="base,no-partner-signal")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--businesses", type=int, default=20_000)
    parser.add_argument("--truth", action="store_true")
    parser.add_argument("--contenders", default=",".join(ALL))
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    chosen = parser.parse_args()
    seeds = [int(word) for word in chosen.seeds.split(",")]
    contenders = tuple(chosen.contenders.split(","))
    for world in chosen.worlds.split(","):
        columns = [
            study_of_world(world, seed, chosen.businesses, chosen.truth, chosen.settings, contenders)
            for seed in seeds
        ]
        print(f"\n{world}, {len(seeds)} economies\n\n{summary(pd.concat(columns, axis=1))}", flush=True)


if __name__ == "__main__":
    main()
