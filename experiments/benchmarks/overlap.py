"""What is left of a federation when businesses are unknown to a party, and when the whole party is absent.

`python -m experiments.benchmarks.overlap --data DIR --test-ids FILE --party partner --seeds 1,2,3` trains each
federated contender on the data as they are and on data in which half of the party's rows, drawn at random, are
missing, in training and test alike; then it scores the test applicants, as `siloscore score` does, while the party is
absent. It prints a table in Markdown of test AUCs, means over the seeds. The ceiling is a random half of the test rows
scored by the model that learned from all, the others by the bank alone. The bank alone has the same kind of model in
each line. For tables only (party type `table`); the dataset itself is not touched.
"""

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from clients.data.declaration import read_declaration
from clients.parties import open_party
from experiments.dataset import open_dataset
from experiments.scoring import score_applicants
from experiments.settings import parse_settings
from experiments.study import Outcome, run_study
from fl.config.run import RunConfig
from fl.metrics import auc
from fl.splits import TEST
from server.coordinator import new_study_name
from server.progress import ignore
from server.tracking.pages import markdown_table

UNENCRYPTED = {"boosting.encryption": "plain", "scorecard.encryption": "plain"}


def bank_only(contender: str) -> str:
    """The bank's own model of the same kind as a federated contender."""
    return contender.replace("federated-", "bank-only-")


def thinned(data: Path, party: str, share: float, seed: int, out: Path) -> Path:
    """A copy of a dataset in which a party of ready tables has only a share of its rows."""
    shutil.copytree(data, out, ignore=shutil.ignore_patterns("state", "mlflow.db", "mlartifacts"))
    path = out / party / str(read_declaration(out / party).file)
    is_csv = path.suffix == ".csv"
    # Cells as texts, so that none is changed on the way.
    rows = pd.read_csv(path, dtype=str, na_filter=False) if is_csv else pd.read_parquet(path)
    kept = rows[np.random.default_rng(seed).random(len(rows)) < share]
    if is_csv:
        kept.to_csv(path, index=False)
    else:
        kept.to_parquet(path, index=False)
    return out


def aucs(data: Path, contenders: tuple[str, ...], config: RunConfig, absent: str = "") -> dict[str, float]:
    """Test AUCs of one seed by contender.

    With `absent`, also `NAME, absent`: scored without that party, and `NAME, ceiling`: as if half of the rows were.
    """
    dataset = open_dataset(data)
    study = new_study_name(str(data))
    config = replace(config, data=str(dataset.folder), parties=",".join(dataset.parties), study=study)
    outcome = run_study(dataset, config, contenders, "inline", ignore)
    found = {result.contender: result.evaluation.metrics["auc"] for result in outcome.results}
    if absent:
        for name in contenders:
            if name.startswith("federated-"):
                found[f"{name}, absent"] = auc_without(dataset.parties, absent, dataset.folder, name, config)
                found[f"{name}, ceiling"] = mixed_auc(outcome, name, int(config.seeds))
    return found


def mixed_auc(outcome: Outcome, contender: str, seed: int, draws: int = 20) -> float:
    """The mean AUC when a random half of the test rows has the contender's PD and the other half the bank's alone."""
    test = outcome.roles[seed] == TEST
    labels, rng = outcome.joined.labels[test], np.random.default_rng(seed)
    own, bank = outcome.pds[contender, seed][test], outcome.pds[bank_only(contender), seed][test]
    halves = rng.random((draws, len(labels))) < 0.5
    return float(np.mean([auc(labels, np.where(half, own, bank)) for half in halves]))


def auc_without(
    parties: tuple[str, ...], absent: str, data: Path, contender: str, config: RunConfig
) -> float:
    """The AUC of the test applicants as they are scored while a party is absent."""
    applications = open_party(data / parties[0]).applications()
    declared = read_declaration(data / parties[0])
    ids = Path(config.test_ids).read_text("utf-8").splitlines()
    test = applications[applications.index.isin(ids)]
    with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
        file, out = Path(folder, "applicants.csv"), Path(folder, "scores.csv")
        pd.DataFrame({declared.id: test.index}).to_csv(file, index=False)
        there = tuple(name for name in parties if name != absent)
        run = f"{config.study}/{contender}/{config.seeds}"
        score_applicants(config.tracking_uri, run, file, out, None, there, "inline", ignore)
        pds = pd.read_csv(out, dtype={declared.id: str}).set_index(declared.id)["pd"]
    return auc(test["label"].to_numpy(), pds[test.index].to_numpy())


def table(found: Mapping[str, Mapping[str, float]], contenders: list[str]) -> str:
    """Markdown: a line per federated contender, with what half of the overlap keeps of the gain."""
    rows = []
    for name in contenders:
        full, half, bank = found["full"][name], found["half"][name], found["full"][bank_only(name)]
        absent, ceiling = (found["full"][f"{name}, {what}"] for what in ("absent", "ceiling"))
        kept, most = ((reached - bank) / (full - bank) for reached in (half, ceiling))
        rows.append(
            {
                "contender": name,
                "all known": f"{full:.4f}",
                "half unknown": f"{half:.4f}",
                "of the gain": f"{kept:.1%}",
                "ceiling": f"{most:.1%}",
                "party absent": f"{absent:.4f}",
                "bank alone": f"{bank:.4f}",
            }
        )
    return markdown_table(pd.DataFrame(rows))


def main() -> None:
    """Train, thin, train again, score without the party, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--test-ids", type=Path, required=True)
    parser.add_argument("--party", default="partner")
    parser.add_argument("--contenders", default="federated-boosting,federated-network,federated-scorecard")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    chosen = parser.parse_args()
    contenders = chosen.contenders.split(",")
    collected: dict[str, list[dict[str, float]]] = {"full": [], "half": []}
    for seed in chosen.seeds.split(","):
        with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
            config = replace(
                # The models are the same, bit for bit.
                RunConfig.from_mapping({**UNENCRYPTED, **parse_settings(chosen.settings)}),
                seeds=seed,
                test_ids=str(chosen.test_ids.resolve()),
                tracking_uri=f"sqlite:///{folder}/mlflow.db",
                state=f"{folder}/state",
            )
            half = thinned(chosen.data.resolve(), chosen.party, 0.5, int(seed), Path(folder, "half"))
            names = (*map(bank_only, contenders), *contenders)
            collected["full"].append(aucs(chosen.data, names, config, chosen.party))
            collected["half"].append(aucs(half, names, config))
    means = {name: pd.DataFrame(rows).mean().to_dict() for name, rows in collected.items()}
    print(f"{chosen.data.name}, {len(collected['full'])} seeds\n\n{table(means, contenders)}")


if __name__ == "__main__":
    main()
