"""Recorded moments of honest runs, and what a hostile coordinator or party may make of the message that comes next.

A moment is a party's state and the request that it is about to answer. `from_outside` changes bytes of the request on
its way; `from_inside` makes a request whose letters are sealed and signed by their honest senders' keys, and say
something else than an honest party would.
"""

import math
import random
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from clients.app import PartyApp
from clients.session import party_log
from clients.store import Store
from experiments.backends.inline import InlineGrid
from experiments.dataset import open_dataset
from fl.banks.programs import program_of
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import RunConfig, ScoringConfig, TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ProtocolError
from fl.joining import HandedModel
from fl.messages import Letter, LetterField, declaration_of, with_letters
from fl.protocols import conversation_of, message_type, request_of, vertical_contenders
from fl.records import decode, encode
from fl.wire import Envelope, envelope_of, from_bytes, pack, refusal_in, to_bytes, unpack
from server import scoring
from server.coordinator import assign_roles, connect, coordinate, train, train_reserve
from server.exchange import Exchange
from server.progress import ignore
from server.training import Training
from tests.open_letters import OpenLetters

RECORDED = (0, 2)
"""Which requests of a kind at a party, counted from 0 within a model, become moments."""


class Moment(NamedTuple):
    """A party's state before a request, which has open letters, and what seals these."""

    letters: OpenLetters
    config: RunConfig
    conversation: str
    kind: type[Any]
    partition: int
    envelope: Envelope
    request: Any
    state: Path

    @property
    def context(self) -> Context:
        """What Flower gives the party beside a message."""
        settings = dict(self.config.to_mapping())
        return Context(1, 2, {"partition-id": self.partition}, RecordDict(), settings)


class Recorder(OpenLetters):
    """The parties' ClientApp, which records moments."""

    def __init__(self, config: RunConfig, folder: Path, moments: list[Moment]) -> None:
        super().__init__(config)
        self._folder, self._moments = folder, moments
        self._counts: dict[tuple[Any, ...], int] = {}

    def __call__(self, message: Message, context: Context) -> Message:
        conversation, kind = request_of(message.metadata.message_type)
        partition, envelope = int(context.node_config["partition-id"]), envelope_of(message.content)
        key = (kind, partition, envelope.model)
        self._counts[key] = self._counts.get(key, -1) + 1
        if self._counts[key] in RECORDED:
            state = self._folder / str(len(self._moments))
            state.mkdir(parents=True)
            if party_state(self.config, partition).exists():
                shutil.copytree(party_state(self.config, partition), state, dirs_exist_ok=True)
            request = unpack(message.content, kind)
            self._moments.append(
                Moment(self, self.config, conversation.name, kind, partition, envelope, request, state)
            )
        return super().__call__(message, context)


def record(data: Path, folder: Path, encryption: str) -> list[Moment]:
    """The moments of a study of every federated contender, and of scoring by each of them."""
    moments: list[Moment] = []
    config = TrainingConfig(
        data=str(data), parties=open_dataset(data).parties, state=str(folder / "state"), study="s"
    )
    for section in (
        NetworkConfig(batches=5, batch_size=64, evaluate_every=2),
        BoostingConfig(trees=2, depth=3, min_leaf_count=10, l2=1.0, encryption=encryption),
        ScorecardConfig(bins=5, min_group=5, max_p=1.0, exchanges=3, tolerance=1e-9, encryption=encryption),
    ):
        config = config.with_section(section)
    federation = connect(InlineGrid(config, Recorder(config, folder / "moments", moments)), config, ignore)
    assigned = assign_roles(federation, 1)
    train_reserve(federation, assigned, 1, ignore)
    for contender in vertical_contenders():
        training = Training(contender=contender, seed=1, assigned=assigned, config=config, on_progress=ignore)
        train(federation, training)
    applicants = data / "bank" / "table.csv"
    common = {item.name: getattr(config, item.name) for item in fields(RunConfig)}
    for contender in vertical_contenders():
        named = {"study": f"new-{contender}", "applicants": str(applicants), "model": f"s/{contender}/1"}
        asked = ScoringConfig(**common | named)
        grid = InlineGrid(asked, Recorder(asked, folder / "moments", moments))
        scoring.converse(Exchange(grid, asked.study, asked.party_timeout), asked, ignore)
    for moment in moments:
        _ = moment.letters.keyring.identities  # which are read now, since no moment has those of all parties
    return moments


def record_banks(data: Path, folder: Path) -> list[Moment]:
    """The moments of a study that several banks have together, with a passive party."""
    moments: list[Moment] = []
    config = TrainingConfig(
        data=str(data),
        parties=("bank_a", "bank_b", "bank_c", "tax"),
        state=str(folder / "state"),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        study="s",
        contenders=("banks-boosting", "banks-scorecard", "hybrid-boosting", "hybrid-scorecard"),
    )
    for section in (BoostingConfig(trees=2, depth=2, min_leaf_count=10), ScorecardConfig(bins=5, max_p=1.0)):
        config = config.with_section(section)
    coordinate(InlineGrid(config, Recorder(config, folder / "moments", moments)), config, ignore)
    joining = replace(
        config,
        parties=("bank_a", "bank_c"),
        study="j",
        joins="s",
        newcomer="bank_c",
        contenders=config.contenders[:2],
    )
    coordinate(InlineGrid(joining, Recorder(joining, folder / "moments", moments)), joining, ignore)
    for moment in moments:
        _ = moment.letters.keyring.identities
    return moments


def party_state(config: RunConfig, partition: int) -> Path:
    """Where a party keeps its state."""
    return party_log(config, config.data_folder / config.parties[partition]).parent


class Fuzzer:
    """Brings a party to a moment, and sends it a corrupted request."""

    def __init__(self) -> None:
        self._app: ClientApp = PartyApp()

    def from_outside(self, moment: Moment, choose: random.Random) -> tuple[RecordDict, bool]:
        """The honest request with bytes changed on its way, and whether it has to be refused: a letter is another one.

        Raises ValueError for bytes that Flower cannot read, so that nothing arrives.
        """
        self._arrive(moment)
        record = self._sealed(moment, moment.request)
        honest = unpack(record, moment.kind)
        if choose.random() < 0.3:
            try:
                record = from_bytes(corrupted_bytes(to_bytes(record), choose))
            except Exception as error:
                raise ValueError("Flower cannot read this") from error
        else:
            piece = choose.choice(list(record.config_records.values()))
            piece["body"] = corrupted_bytes(piece["body"], choose)
        try:
            return record, not _same_letters(honest, unpack(record, moment.kind))
        except ProtocolError:
            return record, True

    def from_inside(self, moment: Moment, choose: random.Random) -> RecordDict:
        """A corrupted request with correctly sealed letters."""
        self._arrive(moment)
        return self._sealed(moment, corrupted_request(moment, choose))

    def deliver(self, moment: Moment, record: RecordDict) -> RecordDict:
        """What the party replies."""
        InlineGrid(moment.config)  # Flower refuses to make messages outside a run
        return self._app(Message(record, 2, message_type(moment.kind)), moment.context).content

    def _arrive(self, moment: Moment) -> None:
        """Make the party's state that of the moment, and let this process forget what it has read of another."""
        state = party_state(moment.config, moment.partition)
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(moment.state, state)
        Store._last.clear()
        for name, module in list(sys.modules.items()):
            if name.startswith("clients."):
                for one in vars(module).values():
                    if hasattr(one, "cache_clear") and one.__name__ not in ("_open", "_parsed"):
                        one.cache_clear()

    def _sealed(self, moment: Moment, request: Any) -> RecordDict:
        return moment.letters.sealed(pack(request, moment.envelope), moment.kind, moment.context)


def complaint(moment: Moment, reply: RecordDict) -> str | None:
    """What is wrong with a reply: nothing, if it is a refusal that was foreseen, or a well-formed answer."""
    refused = refusal_in(reply)
    if refused is not None and "unexpected error" in refused:
        party = moment.config.data_folder / moment.config.parties[moment.partition]
        return party_log(moment.config, party).read_text("utf-8")
    if refused is None:
        unpack(reply, *declaration_of(moment.kind).replies)
    return None


def _same_letters(one: Any, other: Any) -> bool:
    letters: list[list[Letter[Any]]] = [[], []]
    for request, into in zip((one, other), letters, strict=True):
        with_letters(request, lambda letter, *_, into=into: into.append(letter) or letter)
    return letters[0] == letters[1]


# Corruption.


def corrupted_request(moment: Moment, choose: random.Random) -> Any:
    """The request with one thing changed, mostly in one of its letters."""
    letters: list[tuple[LetterField, str]] = []
    with_letters(moment.request, lambda letter, declared, name: letters.append((declared, name)) or letter)
    if not letters or choose.random() < 0.15:
        return corrupted_record(moment.request, choose)
    field, party = choose.choice(letters)

    def change(letter: Letter[Any], declared: LetterField, name: str) -> Letter[Any]:
        if (declared.name, name) != (field.name, party):
            return letter
        kind = declared.record if declared.record is not Any else _contribution(moment)
        if choose.random() < 0.2:
            return replace(letter, content=corrupted_bytes(letter.content, choose))
        told = decode(kind, letter.content)
        if isinstance(told, HandedModel) and choose.random() < 0.9:
            return replace(letter, content=encode(_corrupted_model(moment, told, choose)))
        return replace(letter, content=encode(corrupted_record(told, choose)))

    return with_letters(moment.request, change)


def _corrupted_model(moment: Moment, told: HandedModel, choose: random.Random) -> HandedModel:
    """The same with one thing changed in the state, which is a record within the letter."""
    contender = moment.envelope.model.split("/")[0]
    kind = program_of(contender, moment.config, 1, told.schema).state
    return replace(told, state=encode(corrupted_record(decode(kind, told.state), choose)))


def _contribution(moment: Moment) -> Any:
    half = conversation_of(moment.config.model_parts[1]).half("clients")
    return get_type_hints(half.contribution)["return"]


def corrupted_bytes(content: bytes, choose: random.Random) -> bytes:
    """Some bytes changed, cut off, or put in."""
    changed = bytearray(content)
    for _ in range(choose.choice([1, 1, 1, 4])):
        place, count = choose.randrange(len(changed) + 1), choose.choice([1, 1, 2, 8, 40])
        noise = choose.choice([choose.randbytes(count), b"\xff" * count, b"\0" * count])
        match choose.randrange(4):
            case 0 | 1:
                changed[place : place + count] = noise
            case 2:
                del changed[place : place + count]
            case 3:
                changed[place:place] = noise
    return bytes(changed)


def corrupted_record(record: Any, choose: random.Random) -> Any:
    """The record with one value replaced that the codec can write; the same where it has none."""
    paths = [path for path, _ in _values(record)]
    for _ in range(20 if paths else 0):
        try:
            changed = _replaced(record, choose.choice(paths), choose)
            encode(changed)
        except (TypeError, ValueError, OverflowError, AttributeError):
            continue
        return changed
    return record


Path_ = tuple[Any, ...]


def _values(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every value within a record, by its path; letters are not looked into."""
    if path:
        yield path, value
    if isinstance(value, Letter):
        return
    if is_dataclass(value):
        parts: Any = ((item.name, getattr(value, item.name)) for item in fields(value))
    elif isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, tuple | list):
        parts = enumerate(value)
    else:
        return
    for name, part in parts:
        yield from _values(part, (*path, name))


def _replaced(value: Any, path: Path_, choose: random.Random) -> Any:
    if not path:
        return _another(value, choose)
    first, rest = path[0], path[1:]
    if is_dataclass(value):
        # Not by its constructor, which might refuse what its receiver has to.
        changed = object.__new__(type(value))
        changed.__dict__.update(vars(value) | {first: _replaced(getattr(value, first), rest, choose)})
        return changed
    if isinstance(value, Mapping):
        return {**value, first: _replaced(value[first], rest, choose)}
    parts = list(value)
    parts[first] = _replaced(parts[first], rest, choose)
    return tuple(parts)


def _another(value: Any, choose: random.Random) -> Any:
    """Another value than this one, mostly of its type."""
    if choose.random() < 0.03:
        return choose.choice([None, (), {}, 0, "", np.zeros(3)])
    match value:
        case np.ndarray():
            return _another_array(value, choose)
        case bool():
            return not value
        case int():
            extremes = [-1, 0, 1, 2, 7, 2**31 - 1, 2**32, 2**63 - 1, 2**64 - 1, -(2**63)]
            return choose.choice([*extremes, value + 1, value - 1, -value])
        case float():
            return choose.choice([math.nan, math.inf, -math.inf, -1.0, 0.0, 1e308, 1e-320, -value])
        case str():
            return choose.choice(
                ["", "x" * 5_000, "../x", "\0", "业", f"{value}x", "bank", "tax", value.upper()]
            )
        case bytes():
            texts = [b"", value[:-1], value + b"x", bytes(len(value)), b"\xff" * len(value), value * 1_000]
            return choose.choice([*texts, corrupted_bytes(value, choose)])
        case tuple() | list():
            parts = tuple(value)
            return choose.choice([(), parts[:-1], parts[1:], parts + parts, parts[::-1], parts * 1_000])
        case Mapping():
            names = list(value)
            if not names:
                return {"x": choose.choice([np.zeros(2), 1, "x"])}
            name = choose.choice(names)
            without = {key: part for key, part in value.items() if key != name}
            return choose.choice(
                [
                    {},
                    without,
                    {**without, f"{name}x": value[name]},
                    {**value, "bank": value[name]},
                    {**value, **{f"x{number}": value[name] for number in range(_copies(value[name]))}},
                    dict.fromkeys(value, value[name]),
                    dict(reversed(value.items())),
                ]
            )
    return None


def _copies(value: Any) -> int:
    """Many, but not so many that the message alone would be large: reading it takes as much once more."""
    try:
        return min(2_000, 10_000_000 // len(encode(value)))
    except TypeError:
        return 2_000


def _another_array(array: Any, choose: random.Random) -> Any:
    changed, flat = array.copy(), array.reshape(-1).copy()
    kinds = ["u1", "i1", "i4", ">i4", "i8", "u8", "f4", "f8", "f2", "?", "U1", "M8[M]", "u2"]
    match choose.randrange(8):
        case 0:
            with np.errstate(all="ignore"):
                return array.astype(choose.choice(kinds)) if array.dtype.kind not in "UM" else np.zeros(3)
        case 1:
            shapes: list[Any] = [
                flat,
                array[None],
                array[..., None],
                array[:0],
                array[:-1],
                array[1:],
                array[::-1],
            ]
            shapes += [np.array(0, array.dtype), np.resize(array, (3, 5)), np.empty((60_000, 0), array.dtype)]
            shapes += [np.concatenate([array, array]), array.T] if array.ndim else []
            return choose.choice([shape for shape in shapes if shape is not None])
        case 2:
            return np.full(choose.choice([0, 1, 255, 256, 100_000]), flat[0] if len(flat) else 0, array.dtype)
        case 3:
            changed.reshape(-1)[...] = choose.choice(_extremes(array.dtype))
        case 4 | 5 | 6:
            if len(flat):
                flat[choose.randrange(len(flat))] = choose.choice(_extremes(array.dtype))
            return flat.reshape(array.shape)
        case 7:
            if array.dtype.kind in "iuf":
                noise = np.frombuffer(choose.randbytes(array.nbytes), array.dtype)
                return noise.reshape(array.shape).copy()
    return changed


def _extremes(dtype: Any) -> list[Any]:
    match dtype.kind:
        case "i" | "u":
            about = np.iinfo(dtype)
            return [about.min, about.max, 0, 1, 2, 3, 64, about.max // 2]
        case "f":
            largest = np.finfo(dtype).max
            return [math.nan, math.inf, -math.inf, largest, -largest, 0.0, -1.0, 1e-30]
        case "b":
            return [True, False]
        case "U":
            return ["", "=1+1", "x"]
    return [np.array(0, dtype)[()]]
