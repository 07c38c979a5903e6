"""What happens at a party between a message's arrival and its reply.

A conversation's party half is a module with one function per action, `action(session, request) -> reply`. `answer` does
the rest for all of them: reads the configuration, checks that the request is the next one in its conversation's order,
repeats the stored reply when a request comes twice, commits the new state with the reply, and turns errors into
sentences that may leave the party.
"""

import json
import logging
import traceback
from dataclasses import replace
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, RecordDict

from clients import identity
from clients.data.declaration import Declaration, read_declaration
from clients.data.errors import DataError
from clients.parties import Party, open_party
from clients.post import Post
from clients.store import Commit, Heard, Store, make_private, retain
from fl.config.run import RunConfig, ScoringConfig, TrainingConfig, read_config
from fl.errors import ConfigError, ProtocolError
from fl.messages import Declaration as RequestDeclaration
from fl.messages import Reader, declaration_of, rounded
from fl.processes import cpu_seconds
from fl.protocols import Conversation
from fl.records import Record, decode, encode
from fl.seals import Identity
from fl.wire import Envelope, envelope_of, from_bytes, pack, refusal, to_bytes, unpack

log = logging.getLogger(__name__)

LOG = "state/party.log"
"""Where a party's own people read what the others are not told."""
SCORING = "@scoring"
"""Folder of the scoring runs' studies within a party's state: no study can have this name."""
_ROLES = {Reader.LABEL_HOLDER: "the label holder", Reader.PASSIVE: "a passive party"}


class Session:
    """One request at one party: its data, its configuration and its state before and after."""

    def __init__(self, config: RunConfig, envelope: Envelope, data: Path, state: Path) -> None:
        self.config = config
        self.envelope = envelope
        self._data = data
        self._folder = state
        # Scoring must not end the studies whose models it needs, so its own are kept apart and counted apart.
        self._root = state / SCORING if self.is_scoring else state
        self.study = Store(self._root / envelope.study)
        self.store = Store(self._root / envelope.study / envelope.model)
        self.kept = b""

    @cached_property
    def party(self) -> Party:
        """The party's data, opened once per process as long as the files do not change."""
        return _open(self._data, not self.is_scoring, _files(self._data))

    @cached_property
    def declaration(self) -> Declaration:
        """What the party's `party.toml` says; its data stay closed."""
        return read_declaration(self._data)

    @cached_property
    def identity(self) -> Identity:
        """The party's own keys; without some of its people's making, those of its state, made at first use."""
        if (self._data / identity.FILE_NAME).exists():
            return identity.read_identity(self._data)
        make_private(self._folder)
        identity.make_identity(self._folder)
        return identity.read_identity(self._folder)

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

    def make_room(self) -> None:
        """Remove studies that are too old under the retention rule (`keep-studies`)."""
        retain(self._root, self.envelope.study, self.config.keep_studies)


def answer(conversation: Conversation, kind: type[Any], message: Message, context: Context) -> Message:
    """Answer one message, a request of class `kind`, by the conversation's party half."""
    began = cpu_seconds()
    try:
        record = _answer(conversation, kind, message.content, context, began)
    except Exception as error:
        record = _refused(error, kind, context)
    return Message(record, reply_to=message)


def _refused(error: Exception, kind: type[Any], context: Context) -> RecordDict:
    """What may leave the party of an error that a request of class `kind` has met."""
    if isinstance(error, ConfigError | ProtocolError):
        return refusal(str(error))
    if isinstance(error, DataError):
        # The sentence may quote a record, so it stays in this party's log.
        _write_log(context, str(error))
        folder = _folder(context).name
        return refusal(f"the data in {folder} are not in order; its own log says what and where ({LOG})")
    # What nobody foresaw may quote anything. Flower would send its text to the coordinator, so it ends here.
    _write_log(context, f"{kind.__name__} failed\n{''.join(traceback.format_exception(error))}")
    return refusal(f"it met an unexpected error; its own log says which ({LOG})")


def _write_log(context: Context, text: str) -> None:
    """Tell this party's own people, in a file beside its studies: a worker process has no screen of theirs."""
    log.error("%s", text)
    path = _state(context) / Path(LOG).name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")


def _answer(
    conversation: Conversation, kind: type[Any], record: RecordDict, context: Context, began: float
) -> RecordDict:
    declaration, envelope = declaration_of(kind), envelope_of(record)
    if declaration.is_query != (envelope.step == 0) or not (declaration.is_query or envelope.study):
        raise ProtocolError("a query has step 0; other requests count from 1 and name their study")
    session = Session(_config(context), envelope, _folder(context), _state(context))
    _check_role(declaration, conversation, session)
    action = {"conversation": conversation.name, "action": declaration.action}
    heard: dict[str, Heard] = {}
    if not declaration.is_query:
        last = session.store.last()
        if (last.step, last.conversation, last.action) == (envelope.step, *action.values()):
            return from_bytes(last.reply)
        _check_order(declaration, conversation, envelope, last)
        session.kept, heard = last.state, dict(last.heard)
    post = Post(session.declaration.name, session.identity, session.study, session.config, envelope, heard)
    opened = post.opened(unpack(record, kind))
    try:
        reply = rounded(conversation.answer(declaration.action)(session, opened))
        packed = pack(post.sealed(reply), replace(envelope, cpu_seconds=cpu_seconds() - began))
    except Exception as error:
        # Where the party's own disk has failed, nothing has left, and the same request may come again.
        if not declaration.opens or isinstance(error, OSError):
            raise
        packed, session.kept = _refused(error, kind, context), b""
    if not declaration.is_query:
        if _ends_training(conversation, declaration) and not session.study.is_trained:
            session.study.mark_trained()
            session.make_room()
        commit = Commit(step=envelope.step, **action, state=session.kept, heard=heard, reply=to_bytes(packed))
        session.store.commit(commit)
    return packed


def _ends_training(conversation: Conversation, declaration: RequestDeclaration) -> bool:
    """Whether a model is trained to its end by this request: no other may follow it in its conversation."""
    followed = {action for kind in conversation.requests for action in declaration_of(kind).after}
    return bool(conversation.contenders) and declaration.action not in followed


def _check_role(declaration: RequestDeclaration, conversation: Conversation, session: Session) -> None:
    """Raises ProtocolError unless this is asked of parties like this one."""
    role = Reader.LABEL_HOLDER if session.holds_label else Reader.PASSIVE
    if declaration.to not in (Reader.PARTIES, role):
        raise ProtocolError(
            f"{conversation.name}_{declaration.action} is asked of {_ROLES[declaration.to]}, and it is {_ROLES[role]}"
        )


def _check_order(
    declaration: RequestDeclaration, conversation: Conversation, envelope: Envelope, last: Commit
) -> None:
    """Raises ProtocolError unless the request is the next step of its store, in the declared order."""
    if envelope.step != last.step + 1:
        raise ProtocolError(
            f"step {envelope.step} of {envelope.study}/{envelope.model} does not follow its last step {last.step}"
        )
    if last.step and last.conversation != conversation.name:
        raise ProtocolError(f"this state belongs to the conversation {last.conversation}")
    if last.action not in (declaration.after or ("",)):
        before = f"after {' or '.join(declaration.after)}" if declaration.after else "first"
        came = f"the last was {last.action}" if last.action else "nothing has come"
        raise ProtocolError(f"{conversation.name}_{declaration.action} comes {before}, and {came}")
    if not last.step and not conversation.keeps(envelope.model):
        raise ProtocolError(
            f"{conversation.name} keeps no state under the name {envelope.model or envelope.study}"
        )


def _config(context: Context) -> RunConfig:
    return _parsed(json.dumps(dict(context.run_config)))


# The same at every message of a run. As text, since to a cache of mappings 1 and true would be the same.
@lru_cache(maxsize=4)
def _parsed(settings: str) -> RunConfig:
    return read_config(json.loads(settings))


def _state(context: Context) -> Path:
    """A run's settings come from outside, so they do not decide where a deployed party writes and removes files."""
    data = _folder(context)
    return data / "state" if _is_deployed(context) else state_folder(_config(context), data)


def _is_deployed(context: Context) -> bool:
    return "party-folder" in context.node_config


def _folder(context: Context) -> Path:
    """A deployed party knows its own folder; in simulation partition k is the k-th party of the dataset."""
    if _is_deployed(context):
        return Path(str(context.node_config["party-folder"]))
    config, partition = _config(context), int(context.node_config["partition-id"])
    if partition >= len(config.parties):
        raise ConfigError(
            f"there are more SuperNodes than the {len(config.parties)} parties of the run; start it with "
            f"--federation-config num-supernodes={len(config.parties)}"
        )
    return config.data_folder / config.parties[partition]


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


# Bounded, since one process may meet the parties of many datasets, each with all its records.
@lru_cache(maxsize=16)
def _open(folder: Path, labelled: bool, files: tuple[tuple[str, int, int], ...]) -> Party:
    return open_party(folder, labelled)
