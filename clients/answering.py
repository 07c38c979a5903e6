"""What happens at a party between a message's arrival and its reply.

A conversation's party half is a module with one function per action, `action(session, request) -> reply`. `answer` does
the rest for all of them: reads the configuration, checks that the request is the next one in its conversation's order,
repeats the stored reply when a request comes twice, commits the new state with the reply, and turns errors into
sentences that may leave the party.
"""

import json
import logging
import traceback
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from flwr.app import Context, Message, RecordDict

from clients.audit import Line, Trail, decoded, encoded, highest_grade, lines_of
from clients.data.errors import DataError
from clients.identity import own_identity
from clients.policy import PolicyError
from clients.post import Post
from clients.session import LOG, Session, state_folder
from clients.store import Commit, Heard
from fl.config.run import RunConfig, read_config
from fl.errors import ConfigError, ProtocolError
from fl.messages import Content, Declaration, Reader, declaration_of, rounded
from fl.processes import cpu_seconds, use_cluster
from fl.protocols import Conversation, request_of
from fl.wire import Envelope, digest_of, envelope_of, from_bytes, pack, refusal, size_of, to_bytes, unpack

log = logging.getLogger(__name__)

_ROLES = {Reader.LABEL_HOLDER: "the label holder", Reader.PASSIVE: "a passive party"}


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


def _ends_training(conversation: Conversation, declaration: Declaration) -> bool:
    """Whether a model is trained to its end by this request: no other may follow it in its conversation."""
    followed = {action for kind in conversation.requests for action in declaration_of(kind).after}
    return bool(conversation.contenders) and declaration.action not in followed


def _check_role(declaration: Declaration, conversation: Conversation, session: Session) -> None:
    """Raises ProtocolError unless this is asked of parties like this one."""
    role = Reader.LABEL_HOLDER if session.holds_label else Reader.PASSIVE
    if declaration.to not in (Reader.PARTIES, role):
        raise ProtocolError(
            f"{conversation.name}_{declaration.action} is asked of {_ROLES[declaration.to]}, and it is {_ROLES[role]}"
        )


def _check_order(
    declaration: Declaration, conversation: Conversation, session: Session, last: Commit
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
