"""The reserve model as the service uses it: model and features are read once, and again only when files change."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from clients.aligned import Schema, read_table, table_of
from clients.applicants import applicant_arrays
from clients.data.applicants import frame_of_rows
from clients.data.declaration import Declaration, schema_hash
from clients.data.errors import DataError
from clients.forests import explain, is_trained, log_odds
from clients.parties import Party
from clients.reasons import reason_columns
from clients.reserve import reserve_model
from clients.scores import Scores
from clients.serving.answers import answers_in_json
from clients.serving.queue import Applicant
from clients.session import Session
from clients.store import Store
from fl.config.run import ScoringConfig
from fl.errors import ConfigError
from fl.records import Record
from fl.reserve import RESERVE
from fl.tables import Table
from fl.wire import Envelope


class UnknownBusiness(LookupError):
    """The bank's records have no application of a business."""


class _Loaded(Store):
    """A store whose records are read once."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._records: dict[type, Any] = {}

    def read(self, kind: type[Record]) -> Record:
        """The record of this kind."""
        if kind not in self._records:
            self._records[kind] = super().read(kind)
        return cast(Record, self._records[kind])


class Scorer:
    """The reserve model of a federated model's study and seed, at the bank with this folder and this state.

    model is that federated model, as STUDY/CONTENDER/SEED. Raises ConfigError if the bank does not keep both, and
    DataError if its data are not in order, or its declared columns have changed since. Several threads may use it.
    """

    def __init__(self, folder: Path, state: Path, model: str) -> None:
        self._config = ScoringConfig(model=model, queued=True)
        study, contender, seed = self._config.model_parts
        self.model, self._folder, self._state = f"{study}/{contender}/{seed}", folder, state
        self.study = Store(state / study)
        self._reserve = _Loaded(reserve_model(self.study, seed).folder)
        if not (is_trained(self._reserve) and self.federated_model.has(Scores)):
            raise ConfigError(
                f"{state} does not keep the model {self.model} and its reserve model; name one that was trained with "
                "this bank, as siloscore compare prints it."
            )
        self._trained = read_table(self.study)
        # Reasons compare with these numbers, and sort them every time.
        self._everyone = self._trained.take(np.arange(len(self._trained)))
        self._everyone.numeric.sort(axis=0)
        self._reading, self._session = threading.Lock(), self._new_session()
        self._records = self._read_records(self._session)

    @property
    def federated_model(self) -> Store:
        """The bank's part of the federated model."""
        _, contender, seed = self._config.model_parts
        return Store(self.study.folder / contender / str(seed))

    @property
    def reserve(self) -> Store:
        """The reserve model."""
        return self._reserve

    @property
    def declaration(self) -> Declaration:
        """What the bank declares; a model is good for one of its schemas only."""
        return self._session.declaration

    def month_of(self, id_: str) -> str:
        """The month of a business's application in the bank's records, empty if these have no months.

        Raises UnknownBusiness if the business has not applied there.
        """
        records = self._current()
        if id_ not in records.places:
            raise UnknownBusiness(
                f"{self.declaration.name} has no application of the business {id_!r}; send its columns, too."
            )
        return records.month_of(id_)

    def answers(self, applicants: Sequence[Applicant]) -> Iterator[tuple[NDArray[np.int_], list[str], Table]]:
        """Answers as JSON, in parts: the places of those whom a part answers, their answers, and their table."""
        for places, table in self._current().parts(applicants):
            yield places, self._answered(table), table

    def _answered(self, table: Table) -> list[str]:
        score, rows = log_odds(self._reserve, table, {}, {}, self._config), len(table)
        explanation = explain(self._reserve, table, {}, {}, self._config)
        reasons = reason_columns(self._session, explanation, table, self._everyone, {})
        return answers_in_json(
            {
                "score": score,
                "pd": expit(score),
                "parties": np.full(rows, self.declaration.name),
                "model": np.full(rows, RESERVE),
                # A person should look at it, as at every answer of the reserve model.
                "review": np.ones(rows, np.bool_),
                **reasons,
            }
        )

    def _new_session(self) -> Session:
        return Session(self._config, Envelope(), self._folder, self._state, is_deployed=True)

    def _current(self) -> "_Records":
        """The features of the bank's records as they are now."""
        with self._reading:
            session = self._new_session()
            if session.party is not self._session.party:
                self._records, self._session = self._read_records(session), session
            return self._records

    def _read_records(self, session: Session) -> "_Records":
        if self.study.read(Schema).digest != schema_hash(session.party.declaration):
            raise DataError(
                f"{self._folder}: the declared columns have changed since {self.model} was trained; undo that in "
                "party.toml, or train again and serve the new model."
            )
        return _Records(session.party, self._trained)


class _Records:
    """A party's applications, with the features of all of them as of their own months."""

    def __init__(self, party: Party, trained: Table) -> None:
        self.party, self._trained = party, trained
        applications = party.applications()
        ids = applications.index.to_numpy().astype(np.str_)
        self.months = applications["month"].to_numpy().astype("datetime64[M]")
        self.places = {id_: place for place, id_ in enumerate(ids.tolist())}
        self._table = self._of_frame(party.matrix(ids, self.months, special=True))

    def month_of(self, id_: str) -> str:
        """The month of a business's application, empty if there are no months."""
        month = self.months[self.places[id_]]
        return "" if np.isnat(month) else str(month)

    def parts(self, applicants: Sequence[Applicant]) -> Iterator[tuple[NDArray[np.int_], Table]]:
        """The places of some of the applicants, and their table."""
        kinds = np.array([self._kind_of(one) for one in applicants])
        for kind, table_of_kind in enumerate(
            (self._table_of_own_months, self._table_of_months, self._table_of_rows)
        ):
            if len(places := np.flatnonzero(kinds == kind)):
                yield places, table_of_kind([applicants[place] for place in places.tolist()])

    def _kind_of(self, one: Applicant) -> int:
        if one.columns:
            return 2
        return int(one.id not in self.places or one.month != self.month_of(one.id))

    def _table_of_own_months(self, applicants: Sequence[Applicant]) -> Table:
        return self._table.take(np.array([self.places[one.id] for one in applicants]))

    def _table_of_months(self, applicants: Sequence[Applicant]) -> Table:
        return self._of_frame(self.party.matrix(*applicant_arrays(applicants), special=True))

    def _table_of_rows(self, applicants: Sequence[Applicant]) -> Table:
        rows, (_, months) = [one.columns for one in applicants], applicant_arrays(applicants)
        return self._of_frame(frame_of_rows(self.party.declaration, rows, months))

    def _of_frame(self, frame: pd.DataFrame) -> Table:
        known = np.ones(len(frame), np.bool_)
        return table_of(frame, known, self.party.declaration.columns).in_levels_of(self._trained)
