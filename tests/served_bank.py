"""A bank with a trained study, whose service and scoring runs are in the test's process."""

from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from clients.scoring import read_answers
from experiments.backends.inline import InlineGrid
from fl.config.run import RunConfig, ScoringConfig, TrainingConfig
from server.exchange import Exchange
from server.progress import ignore
from server.scoring import Scoring, converse, score

MODEL = "s/federated-boosting/1"


class Bank(NamedTuple):
    """A dataset whose bank has trained a model with its partners, and the settings of the training."""

    config: TrainingConfig

    @property
    def folder(self) -> Path:
        return self.config.data_folder / "bank"

    @property
    def state(self) -> Path:
        return Path(self.config.state, "bank")

    @property
    def table(self) -> pd.DataFrame:
        """The bank's records, by id."""
        return pd.read_csv(self.folder / "table.csv", parse_dates=["observation_month"]).set_index(
            "business_id"
        )

    def scoring(self, **settings: Any) -> ScoringConfig:
        common = {item.name: getattr(self.config, item.name) for item in fields(RunConfig)}
        return ScoringConfig(**common | {"model": MODEL} | settings)

    def score_file(self, ids: list[str], study: str, parties: tuple[str, ...] = ()) -> pd.DataFrame:
        """What `siloscore score` says of businesses of the bank's."""
        file = self.state / "new.csv"
        file.write_text("\n".join(["business_id", *ids]), "utf-8")
        config = self.scoring(applicants=str(file), study=study, parties=parties or self.config.parties)
        converse(Exchange(InlineGrid(config), study, config.party_timeout), config, ignore)
        return read_answers(config, self.folder).frame().set_index("business_id")

    def score_queue(self, study: str, parties: tuple[str, ...] = ()) -> Scoring | None:
        config = self.scoring(queued=True, study=study, parties=parties or self.config.parties)
        return score(InlineGrid(config), config, ignore)
