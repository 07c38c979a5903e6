"""What a federation brings in each synthetic world, over several economies.

`python -m experiments.benchmarks.worlds --worlds base,no-partner-signal --seeds 1,2,3,4,5` simulates an economy of
20,000 applicants per world and seed, runs the study on it in one process, and prints a table in Markdown: means over
the seeds, and the standard error of each mean. A single test set of 5,000 rows tells little: its AUC has a standard
deviation of 0.018. The true PD is left out unless `--truth` asks for it, since it takes most of the time.
"""

import argparse

import pandas as pd

from experiments.comparison import BASELINE, GAIN, compare
from experiments.economies import economy
from experiments.settings import parse_settings
from experiments.study import STANDARD, run_study
from fl.config import RunConfig
from server.coordinator import new_study_name
from server.progress import ignore


def study_of_world(
    world: str, seed: int, businesses: int, truth: bool, settings: list[str]
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
        outcome = run_study(dataset, config, STANDARD, "inline", ignore)
        return compare(outcome.results).set_index("contender")["auc"].rename(str(seed))


def summary(aucs: pd.DataFrame) -> str:
    """Markdown table of a frame with a row per contender and a column per seed."""
    alone, pooled = (aucs.loc[name] for name in GAIN)
    gain = pooled.mean() - alone.mean()
    lines = [
        "| contender | AUC | ± | Gini | uplift over bank-only-network | ± | recovered |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, values in aucs.iterrows():
        uplift = values - aucs.loc[BASELINE]
        recovered = (values.mean() - alone.mean()) / gain
        lines.append(
            f"| {name} | {values.mean():.4f} | {values.sem():.4f} | {2 * values.mean() - 1:.3f} "
            f"| {uplift.mean():+.4f} | {uplift.sem():.4f} | {recovered:.0%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the worlds and print a table for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", default="base,no-partner-signal")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--businesses", type=int, default=20_000)
    parser.add_argument("--truth", action="store_true")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    chosen = parser.parse_args()
    seeds = [int(word) for word in chosen.seeds.split(",")]
    for world in chosen.worlds.split(","):
        columns = [
            study_of_world(world, seed, chosen.businesses, chosen.truth, chosen.settings) for seed in seeds
        ]
        print(f"\n{world}, {len(seeds)} economies\n\n{summary(pd.concat(columns, axis=1))}", flush=True)


if __name__ == "__main__":
    main()
