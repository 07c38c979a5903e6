"""What a party's half of a conversation works with while it answers one request (`clients/answering.py`)."""

import fcntl
from collections.abc import Iterable
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path

from clients.audit import Line, Trail
from clients.data.column import Column
from clients.data.declaration import Declaration, read_declaration, with_reasons
from clients.identity import own_identity
from clients.parties import Party, open_party, party_type
from clients.policy import Asked, Policy
from clients.post import Partners
from clients.store import Store, make_private, retain
from fl.config.run import RunConfig, ScoringConfig, TrainingConfig
from fl.errors import ProtocolError
from fl.messages import Head
from fl.protocols import Conversation
from fl.records import Record, decode, encode
from fl.seals import Identity
from fl.studies import sub_study
from fl.wire import Envelope

LOG = "state/party.log"
"""Where a party's own people read what the others are not told."""
SCORING = "@scoring"
"""Folder of the scoring runs' studies within a party's state: no study can have this name."""
POLICY = "@policy"
"""Folder within a party's state where it counts what it is asked for in a day: no study, either."""
QUEUE = "@serving/queue.db"
"""File within the label holder's state with the applicants that its service has been told of (`clients/serving`)."""


class Session:
    """One request at one party: its data, its configuration and its state before and after."""

    def __init__(
        self, config: RunConfig, envelope: Envelope, data: Path, state: Path, is_deployed: bool = False
    ) -> None:
        self.config = config
        self.envelope = envelope
        self._data = data
        self._folder = state
        self._is_deployed = is_deployed
        # Scoring must not end the studies whose models it needs, so its own are kept apart and counted apart.
        self._root = state / SCORING if self.is_scoring else state
        self.study = Store(self._root / envelope.study, is_deployed)
        self.store = Store(self._root / envelope.study / envelope.model, is_deployed)
        self.kept = b""

    @cached_property
    def party(self) -> Party:
        """The party's data, opened once per process as long as the files do not change."""
        return _open(self._data, not self.is_scoring, _files(self._data))

    @cached_property
    def declaration(self) -> Declaration:
        """What the party's `party.toml` says; its data stay closed."""
        return _declared(self._data, _files(self._data) if self._data.is_dir() else ())

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The party's columns by name, each with what a customer is told of it."""
        return with_reasons(self.declaration, party_type(self.declaration.type).columns)

    @cached_property
    def policy(self) -> Policy:
        """The party's rules; where it is deployed, with the defaults for what its `party.toml` does not say."""
        written = self.declaration.policy
        return written.with_defaults() if self._is_deployed else written

    @cached_property
    def aligned(self) -> Store:
        """Where this party keeps its aligned rows: in the study, or as one of several banks in its own sub-study."""
        if self.study.has(Partners) and len(self.study.read(Partners).label_holders) > 1:
            return Store(self._root / sub_study(self.envelope.study, self.declaration.name))
        return self.study

    @cached_property
    def identity(self) -> Identity:
        """The party's own keys; without some of its people's making, those of its state, made at first use."""
        return own_identity(self._data, self._folder)

    def audit(self, lines: Iterable[Line]) -> Head:
        """Write the lines of a message into the party's audit trail, before it leaves."""
        return Trail(self._folder).append(lines, self.identity)

    @property
    def is_scoring(self) -> bool:
        """Whether the run scores applicants by an earlier study's model, instead of training."""
        return isinstance(self.config, ScoringConfig)

    @property
    def holds_label(self) -> bool:
        """Whether this party knows the outcomes."""
        return self.declaration.label is not None

    def state(self, kind: type[Record]) -> Record:
        """What the answer to the last request has kept. Raises ProtocolError if that is of another kind, or nothing."""
        if not self.kept:
            raise ProtocolError("it has nothing to go on from: this has ended, or a step of it was refused")
        return decode(kind, self.kept)

    def keep(self, state: object | None) -> None:
        """Keep a record for the next request, or nothing: the conversation needs no state any more."""
        self.kept = b"" if state is None else encode(state)

    @property
    def training(self) -> TrainingConfig:
        """The settings of a run that trains. ProtocolError in one that scores."""
        if not isinstance(self.config, TrainingConfig):
            raise ProtocolError("this is asked for in a run that trains only")
        return self.config

    @property
    def scoring(self) -> ScoringConfig:
        """The settings of a run that scores. ProtocolError in one that trains."""
        if not isinstance(self.config, ScoringConfig):
            raise ProtocolError("this is asked for in a run that scores only")
        return self.config

    def earlier(self, study: str, model: str = "") -> Store:
        """The state of an earlier study, or of a model within it. Raises ProtocolError for an impossible name."""
        named = Envelope(study, model)
        return Store(self._folder / named.study / named.model)

    @property
    def queue(self) -> Path:
        """The file of the applicants that wait for a run (`clients/serving/queue.py`)."""
        return self._folder / QUEUE

    def make_room(self) -> None:
        """Remove studies that are too old by the run's `keep-studies` and by the policy's own number."""
        keep = max(self.config.keep_studies, self.policy.keep_studies or 0)
        retain(self._root, self.envelope.study, keep)

    def require_allowed(self, conversation: Conversation) -> None:
        """Raises PolicyError, which names the rule, unless the policy allows the conversation in this run."""
        grade = max((column.grade for column in self.declaration.columns), default=0)
        self.policy.require_conversation(conversation, self.config, grade, self.holds_label)
        if self.holds_label:
            rule = "applicants" if self.is_scoring else "test_ids"
            if file := getattr(self.config, rule):
                self.policy.require_file(rule, file, self._data)

    def count(self, rule: str, more: int = 1) -> None:
        """Count what is asked towards a rule of so much a day. Raises PolicyError when that is too much."""
        if getattr(self.policy, rule) is None:
            return
        # In the party's own state, beside the studies: no run can make it begin anew.
        store, today = Store(self._folder / POLICY), date.today().isoformat()
        make_private(store.folder)
        with (store.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed, so that two runs at a time count both
            asked = (store.read(Asked) if store.has(Asked) else Asked(today)).more(rule, more, today)
            self.policy.require(rule, asked.counts[rule])
            store.keep(asked)


def state_folder(config: RunConfig, data: Path) -> Path:
    """Where the party with this data folder keeps its studies: within it, unless the run names a folder for all.

    Models that score other data than they were trained on stay beside the data of their training.
    """
    if config.state:
        return Path(config.state) / data.name
    trained_on = config.model_data if isinstance(config, ScoringConfig) else ""
    return (Path(trained_on) / data.name if trained_on else data) / "state"


def party_log(config: RunConfig, data: Path) -> Path:
    """Where the party with this data folder writes, in a run on this machine, what only its own people may read."""
    return state_folder(config, data) / Path(LOG).name


def _files(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """What tells that the party's files are still those that were read: names, sizes, times of change."""
    stats = ((path.name, path.stat()) for path in folder.iterdir() if path.is_file())
    return tuple(sorted((name, about.st_size, about.st_mtime_ns) for name, about in stats))


# The same at every message as long as the file does not change.
@lru_cache(maxsize=16)
def _declared(folder: Path, files: tuple[tuple[str, int, int], ...]) -> Declaration:
    return read_declaration(folder)


# Bounded, since one process may meet the parties of many datasets, each with all its records.
@lru_cache(maxsize=16)
def _open(folder: Path, labelled: bool, files: tuple[tuple[str, int, int], ...]) -> Party:
    return open_party(folder, labelled)
