"""What happens at a party between a message's arrival and its reply.

A conversation's party half is a module with one function per action, `action(session, request) -> reply`. `answer` does
the rest for all of them: reads the configuration, checks that the request is the next one in its conversation's order,
repeats the stored reply when a request comes twice, commits the new state with the reply, and turns errors into
sentences that may leave the party.
"""

import fcntl
import json
import logging
import traceback
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from datetime import date, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, RecordDict

from clients.audit import Line, Trail, decoded, encoded, highest_grade, lines_of
from clients.data.column import Column
from clients.data.declaration import Declaration, read_declaration, with_reasons
from clients.data.errors import DataError
from clients.identity import own_identity
from clients.parties import Party, open_party, party_type
from clients.policy import Asked, Policy, PolicyError
from clients.post import Partners, Post
from clients.store import Commit, Heard, Store, make_private, retain
from fl.config.run import RunConfig, ScoringConfig, TrainingConfig, read_config
from fl.errors import ConfigError, ProtocolError
from fl.messages import Content, Head, Reader, declaration_of, rounded
from fl.messages import Declaration as RequestDeclaration
from fl.processes import cpu_seconds, use_cluster
from fl.protocols import Conversation, request_of
from fl.records import Record, decode, encode
from fl.seals import Identity
from fl.studies import sub_study
from fl.wire import Envelope, digest_of, envelope_of, from_bytes, pack, refusal, size_of, to_bytes, unpack

log = logging.getLogger(__name__)

LOG = "state/party.log"
"""Where a party's own people read what the others are not told."""
SCORING = "@scoring"
"""Folder of the scoring runs' studies within a party's state: no study can have this name."""
POLICY = "@policy"
"""Folder within a party's state where it counts what it is asked for in a day: no study, either."""
QUEUE = "@serving/queue.db"
"""File within the label holder's state with the applicants that its service has been told of (`clients/serving`)."""
_ROLES = {Reader.LABEL_HOLDER: "the label holder", Reader.PASSIVE: "a passive party"}


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


def answer(message: Message, context: Context) -> Message:
    """Answer one message by its conversation's party half; what goes wrong becomes a refusal in a sentence."""
    began = cpu_seconds()
    try:
        conversation, kind = request_of(message.metadata.message_type)
    except ProtocolError as error:
        return Message(refusal(str(error)), reply_to=message)
    try:
        record = _answer(conversation, kind, message.content, context, began)
    except Exception as error:
        try:
            envelope = envelope_of(message.content)
        except ProtocolError:
            envelope = Envelope()
        record = _refused(error, conversation, kind, envelope, context)
    return Message(record, reply_to=message)


def _sentence(error: Exception, kind: type[Any], context: Context) -> str:
    """What may leave the party of an error that a request of class `kind` has met."""
    if isinstance(error, PolicyError):
        # A coordinator that asks for the first time does not know yet whom it asks.
        return f"the policy of {_folder(context).name} {error}"
    if isinstance(error, ConfigError | ProtocolError):
        return str(error)
    if isinstance(error, DataError):
        # The sentence may quote a record, so it stays in this party's log.
        _write_log(context, str(error))
        folder = _folder(context).name
        return f"the data in {folder} are not in order; its own log says what and where ({LOG})"
    # What nobody foresaw may quote anything. Flower would send its text to the coordinator, so it ends here.
    _write_log(context, f"{kind.__name__} failed\n{''.join(traceback.format_exception(error))}")
    return f"it met an unexpected error; its own log says which ({LOG})"


def _refused(
    error: Exception, conversation: Conversation, kind: type[Any], envelope: Envelope, context: Context
) -> RecordDict:
    """What an error becomes: a refusal, which is a message like others, and so has a line in the audit trail."""
    sentence = _sentence(error, kind, context)
    try:
        data, state = _folder(context), _state(context)
    except ConfigError:
        # The settings of a simulated party say where its state is, and these cannot be read.
        return refusal(sentence)
    record = refusal(sentence, data.name)
    told = {"bytes": size_of(record), "content": (Content.SETTING.value,)}
    try:
        Trail(state).append([_about(conversation, kind, envelope, **told)], own_identity(data, state))
    except (DataError, OSError):
        # It must be told all the same, and tells nothing; the party's people hear why.
        _write_log(context, f"the refusal has no line in the audit trail\n{traceback.format_exc()}")
    return record


def _about(conversation: Conversation, kind: type[Any], envelope: Envelope, **told: Any) -> Line:
    """A line of the audit trail for the message that answers this request."""
    return Line(
        study=envelope.study,
        model=envelope.model,
        step=envelope.step,
        conversation=conversation.name,
        action=declaration_of(kind).action,
        **told,
    )


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
    counts = envelope.step > 0 and envelope.study != ""
    if not (envelope.step == 0 if declaration.is_query else counts):
        raise ProtocolError("a query has step 0; other requests count from 1 and name their study")
    session = Session(_config(context), envelope, _folder(context), _state(context), _is_deployed(context))
    session.require_allowed(conversation)
    _check_role(declaration, conversation, session)
    if _is_deployed(context) and (cluster := session.declaration.cluster) is not None:
        use_cluster(cluster.address, cluster.workers)
    request = unpack(record, kind)
    with nullcontext() if declaration.is_query else session.study.locked():
        return _reply(conversation, kind, session, request, digest_of(record), context, began)


def _reply(
    conversation: Conversation,
    kind: type[Any],
    session: Session,
    request: Any,
    digest: bytes,
    context: Context,
    began: float,
) -> RecordDict:
    declaration, envelope = declaration_of(kind), session.envelope
    action = {"conversation": conversation.name, "action": declaration.action}
    heard: dict[str, Heard] = {}
    if not declaration.is_query:
        last = session.store.last()
        if (last.step, last.conversation, last.action) == (envelope.step, *action.values()):
            if last.request != digest:
                raise ProtocolError(
                    f"step {envelope.step} of {envelope.study}/{envelope.model} was asked before, with another request"
                )
            session.audit(decoded(last.sent))
            return from_bytes(last.reply)
        _check_order(declaration, conversation, session, last)
        if not last.step:
            _count_beginning(conversation, session)
        session.kept, heard = last.state, dict(last.heard)
    post = Post(session.declaration.name, session.identity, session.study, session.config, envelope, heard)
    opened, sent = post.opened(request), tuple[Line, ...]()
    try:
        reply = rounded(conversation.answer(declaration.action)(session, opened))
        about = _about(conversation, kind, envelope, heads=post.heads)
        sent = lines_of(reply, about, highest_grade(session.declaration), post.receivers)
        head = session.audit(sent)
        packed = pack(post.sealed(reply, head), replace(envelope, cpu_seconds=cpu_seconds() - began))
    except Exception as error:
        # Where the party's own disk has failed, nothing has left, and the same request may come again.
        if not declaration.opens or isinstance(error, OSError):
            raise
        packed, session.kept = _refused(error, conversation, kind, envelope, context), b""
    if not declaration.is_query:
        if _ends_training(conversation, declaration) and not session.study.is_trained:
            session.study.mark_trained()
            session.make_room()
        commit = Commit(
            step=envelope.step,
            **action,
            request=digest,
            settings=session.config.digest,
            state=session.kept,
            heard=heard,
            reply=to_bytes(packed),
            sent=encoded(sent),
        )
        session.store.commit(commit)
    return packed


def _count_beginning(conversation: Conversation, session: Session) -> None:
    """Count a model, or an alignment, that begins now; one for scoring counts by its applicants."""
    if conversation.contenders:
        session.count("models_per_day")
    elif conversation.name == "alignment" and not session.is_scoring:
        session.count("alignments_per_day")


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
    declaration: RequestDeclaration, conversation: Conversation, session: Session, last: Commit
) -> None:
    """Raises ProtocolError unless the request is the next step of its store, in the declared order and settings."""
    envelope = session.envelope
    if envelope.step != last.step + 1:
        raise ProtocolError(
            f"step {envelope.step} of {envelope.study}/{envelope.model} does not follow its last step {last.step}"
        )
    if last.step and last.conversation != conversation.name:
        raise ProtocolError(f"this state belongs to the conversation {last.conversation}")
    if last.step and last.settings != session.config.digest:
        raise ProtocolError(
            f"the settings of this run have changed since step {last.step} of {envelope.study}/{envelope.model}"
        )
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


# The same at every message as long as the file does not change.
@lru_cache(maxsize=16)
def _declared(folder: Path, files: tuple[tuple[str, int, int], ...]) -> Declaration:
    return read_declaration(folder)


# Bounded, since one process may meet the parties of many datasets, each with all its records.
@lru_cache(maxsize=16)
def _open(folder: Path, labelled: bool, files: tuple[tuple[str, int, int], ...]) -> Party:
    return open_party(folder, labelled)
