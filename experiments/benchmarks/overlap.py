"""What is left of a federation when businesses are unknown to a party, and when the whole party is absent.

`python -m experiments.benchmarks.overlap --data DIR --test-ids FILE --party partner --seeds 1,2,3` trains each
federated contender on the data as they are and on data in which half of the party's rows, drawn at random, are
missing, in training and test alike; then it scores the test applicants, as `siloscore score` does, while the party is
absent. It prints a table in Markdown of test AUCs, means over the seeds. The ceiling is a random half of the test rows
scored by the model that learned from all, the others by the bank alone. The bank alone has the same kind of model in
each line. For tables only (party type `table`); the dataset itself is not touched.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from clients.data.declaration import read_declaration
from clients.parties import open_party
from experiments.dataset import open_dataset
from experiments.options import Seeds, Setting
from experiments.scoring import score_applicants, write_whole
from experiments.settings import parse_settings
from experiments.study import FinishedStudy, run_study
from fl.config.run import TrainingConfig
from fl.metrics import auc
from fl.splits import TEST
from server.coordinator import new_study_name
from server.progress import ignore
from server.tracking.pages import markdown_table

UNENCRYPTED = {"boosting.encryption": "plain", "scorecard.encryption": "plain"}

app = typer.Typer()


def bank_only(contender: str) -> str:
    """The bank's own model of the same kind as a federated contender."""
    return contender.replace("federated-", "bank-only-")


def thinned(data: Path, party: str, share: float, seed: int, out: Path) -> Path:
    """A copy of a dataset in which a party of ready tables has only a share of its rows."""
    shutil.copytree(data, out, ignore=shutil.ignore_patterns("state", "mlflow.db", "mlartifacts"))
    path = out / party / str(read_declaration(out / party).file)
    # Cells as texts, so that none is changed on the way.
    rows = pd.read_csv(path, dtype=str, na_filter=False) if path.suffix == ".csv" else pd.read_parquet(path)
    write_whole(rows[np.random.default_rng(seed).random(len(rows)) < share], path)
    return out


def aucs(
    data: Path, contenders: tuple[str, ...], config: TrainingConfig, absent: str = ""
) -> dict[str, float]:
    """Test AUCs of one seed by contender.

    With `absent`, also `NAME, absent`: scored without that party, and `NAME, ceiling`: as if half of the rows were.
    """
    dataset = open_dataset(data)
    config = replace(
        config, data=str(dataset.folder), parties=dataset.parties, study=new_study_name(str(data))
    )
    outcome = run_study(dataset, config, contenders, "inline", ignore).complete()
    reached = {result.contender: result.evaluation.metrics["auc"] for result in outcome.results}
    for name in [name for name in contenders if absent and name.startswith("federated-")]:
        reached[f"{name}, absent"] = auc_without(absent, name, config)
        reached[f"{name}, ceiling"] = mixed_auc(outcome, name, *config.seeds)
    return reached


def mixed_auc(outcome: FinishedStudy, contender: str, seed: int, draws: int = 20) -> float:
    """The mean AUC when a random half of the test rows has the contender's PD and the other half the bank's alone."""
    test = outcome.roles[seed] == TEST
    labels, rng = outcome.joined.labels[test], np.random.default_rng(seed)
    pds, alone = (outcome.pds[name, seed][test] for name in (contender, bank_only(contender)))
    halves = rng.random((draws, len(labels))) < 0.5
    return float(np.mean([auc(labels, np.where(half, pds, alone)) for half in halves]))


def auc_without(absent: str, contender: str, config: TrainingConfig) -> float:
    """The AUC of the test applicants as they are scored while a party is absent."""
    bank = config.data_folder / config.parties[0]
    applications, id_column = open_party(bank).applications(), read_declaration(bank).id
    test = applications[applications.index.isin(Path(config.test_ids).read_text("utf-8").splitlines())]
    with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
        file, out = Path(folder, "applicants.csv"), Path(folder, "scores.csv")
        pd.DataFrame({id_column: test.index}).to_csv(file, index=False)
        score_applicants(
            config.tracking_uri,
            f"{config.study}/{contender}/{config.seeds[0]}",
            file,
            out,
            data=None,
            parties=tuple(name for name in config.parties if name != absent),
            backend="inline",
            report=ignore,
        )
        pds = pd.read_csv(out, dtype={id_column: str}).set_index(id_column)["pd"]
    return auc(test["label"].to_numpy(), pds[test.index].to_numpy())


def table(full: Mapping[str, float], half: Mapping[str, float], contenders: list[str]) -> str:
    """Markdown: a line per federated contender, with what half of the overlap keeps of the gain."""
    rows = []
    for name in contenders:
        alone, gain = full[bank_only(name)], full[name] - full[bank_only(name)]
        rows.append(
            {
                "contender": name,
                "all known": f"{full[name]:.4f}",
                "half unknown": f"{half[name]:.4f}",
                "of the gain": f"{(half[name] - alone) / gain:.1%}",
                "ceiling": f"{(full[f'{name}, ceiling'] - alone) / gain:.1%}",
                "party absent": f"{full[f'{name}, absent']:.4f}",
                "bank alone": f"{alone:.4f}",
            }
        )
    return markdown_table(pd.DataFrame(rows))


@app.command(help=__doc__)
def main(
    data: Annotated[Path, typer.Option()],
    test_ids: Annotated[Path, typer.Option(help="File with the ids of a fixed test set, one per line.")],
    party: str = "partner",
    contenders: str = "federated-boosting,federated-network,federated-scorecard",
    seeds: Seeds = "1,2,3",
    settings: Setting = [],  # noqa: B006
) -> None:
    """Train, thin, train again, score without the party, and print the table."""
    federated, full, half = contenders.split(","), [], []
    names = (*map(bank_only, federated), *federated)
    # The models are the same without encryption, bit for bit.
    common = TrainingConfig.from_mapping({**UNENCRYPTED, **parse_settings(settings), "seeds": seeds})
    for seed in common.seeds:
        with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
            config = replace(
                common,
                seeds=(seed,),
                test_ids=str(test_ids.resolve()),
                tracking_uri=f"sqlite:///{folder}/mlflow.db",
                state=f"{folder}/state",
            )
            full.append(aucs(data, names, config, party))
            half.append(aucs(thinned(data.resolve(), party, 0.5, seed, Path(folder, "half")), names, config))
    means = (pd.DataFrame(rows).mean().to_dict() for rows in (full, half))
    print(f"{data.name}, {len(full)} seeds\n\n{table(*means, federated)}")


if __name__ == "__main__":
    app()
