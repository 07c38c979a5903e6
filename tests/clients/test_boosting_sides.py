"""Who sees to which side of a split rows go."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.aligned import read_table
from clients.binned import Start, read_setup
from clients.boosting import label_holder, passive
from clients.post import Partners
from clients.session import Session
from clients.store import Store
from fl.binning import Binning
from fl.boosting import (
    ANOTHER,
    NOBODY,
    BeginRequest,
    Columns,
    Grown,
    GrowRequest,
    Keys,
    Level,
    SidesRequest,
    StartRequest,
    SumRequest,
    Task,
    padding,
    unpacked,
)
from fl.boosting.forest import Splits
from fl.boosting.padding import PadSecret, PadUse, sides, within
from fl.encrypted_sums import plain
from fl.encrypted_sums.packing import Packing
from fl.messages import Head, Letter
from fl.seals import Context, Identity, seal
from fl.splits import TEST
from fl.wire import Envelope, refusal_in, unpack
from server.coordinator import assign_roles
from server.exchange import FederationError
from tests.clients.boosting import MODEL, Begun, folders, model, trained, watched


def test_a_party_hands_over_no_sides_in_a_run_that_does_without(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)), boosting={"sealed_sides": False})
    begun = Begun(run)
    assert begun.started.columns.read(Columns).pad_key is None
    keys = replace(begun.task.keys, pad=PadSecret.new().public_key)
    with pytest.raises(FederationError, match="not handed over in this run"):
        begun.ask(replace(begun.root, task=Letter.of(replace(begun.task, keys=keys))))


def test_nobody_hands_over_sides_that_no_other_party_needs(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    begun = Begun(federate(make_tables(("tax",))))
    assert begun.task.keys.pad is None
    assert begun.ask(begun.root).sides is None
    with pytest.raises(FederationError, match="there are no sides to hand over"):
        begun.ask(SidesRequest())


def test_sides_are_the_same_whenever_they_are_asked_for(tables: Path, federate: Callable) -> None:
    run = federate(tables, boosting={"trees": 1})
    exchange, again = run.federation.exchange, []
    ask = exchange.ask

    def watch(requests: dict, *rest: object) -> dict:
        replies = ask(requests, *rest)
        for party, reply in replies.items():
            if isinstance(reply, Grown) and reply.sides is not None:
                again.append((reply.sides, ask({party: SidesRequest()}, MODEL)[party].sides))
        return replies

    exchange.ask = watch
    trained(run)
    assert len(again) == 2
    for first, second in again:
        np.testing.assert_array_equal(first, second)
    with pytest.raises(FederationError, match="there are no sides to hand over"):
        ask({"tax": SidesRequest()}, MODEL)


def test_a_party_that_is_set_back_shows_nothing_else_under_the_same_pad(
    tables: Path, federate: Callable, send: Callable, tmp_path: Path
) -> None:
    run = federate(tables)
    state, exchange = Path(run.config.state, "tax"), run.federation.exchange
    split = assign_roles(run.federation, 1).split
    start = StartRequest(seed=1, split=split)

    def asked_again(request: object, step: int) -> object:
        """The answer of the party, to which the request is new, once it has been set back to before its answer."""
        backup = tmp_path / f"backup{step}"
        shutil.copytree(state, backup)
        first = exchange.ask({"tax": request}, MODEL)["tax"]
        after = state.rename(tmp_path / f"after{step}")
        shutil.copytree(backup, state)
        again = unpack(
            send(run.config, request, Envelope("s", MODEL, step), {"partition-id": 2}), type(first)
        )
        shutil.rmtree(state)
        after.rename(state)
        return first, again

    started, anew = asked_again(start, 1)
    keys = [one.columns.read(Columns).pad_key for one in (started, anew)]
    assert (keys[0] != keys[1]).any()

    columns = {"tax": started.columns, "supply": exchange.ask({"supply": start}, MODEL)["supply"].columns}
    demand = exchange.ask({"bank": BeginRequest(seed=1, split=split, columns=columns)}, MODEL)["bank"]
    grow = GrowRequest(task=demand.task, level=demand.levels["tax"], gradients=demand.gradients, sides=None)
    handed_over, again = asked_again(grow, 2)
    np.testing.assert_array_equal(handed_over.sides, again.sides)


def test_the_coordinator_sees_no_side(tables: Path, federate: Callable) -> None:
    run = federate(tables, boosting={"trees": 6, "patience": 0})
    grown = watched(run, GrowRequest)
    trained(run)
    handed_over = [reply.sides for _, reply in grown if reply.sides is not None]
    relayed = [request.sides for request, _ in grown if request.sides is not None]
    assert len(handed_over) == 2
    assert len(relayed) > 6
    # Sides are rare in most bins; under a pad, half of all bits are set.
    for bits in (np.unpackbits(np.concatenate(told)) for told in (handed_over, relayed)):
        assert abs(bits.mean() - 0.5) < 5 * 0.5 / np.sqrt(bits.size)


def test_what_a_party_is_told_opens_sides_in_the_split_s_node_alone(tables: Path, federate: Callable) -> None:
    run = federate(tables, boosting={"trees": 6, "patience": 0})
    grown = watched(run, GrowRequest)
    trained(run)
    pads = [level.pad for request, _ in grown if (level := request.level.read(Level)).pad is not None]
    owners = [level.owners for request, _ in grown if (level := request.level.read(Level)).pad is not None]
    assert all((told == ANOTHER).any() for told in owners)
    # Below the root, a pad for one node of several has bits in that node only: fewer than half of all.
    partial = [
        np.unpackbits(pad).mean()
        for pad, told in zip(pads, owners, strict=True)
        if (told == ANOTHER).sum() < (told != NOBODY).sum()
    ]
    assert partial
    assert np.mean(partial) < 0.4


@pytest.mark.parametrize("sealed_sides", [True, False])
def test_parties_that_do_not_know_all_sides_get_no_gradients_before(
    tables: Path, federate: Callable, sealed_sides: bool
) -> None:
    run = federate(tables, boosting={"sealed_sides": sealed_sides})
    grown, summed = watched(run, GrowRequest), watched(run, SumRequest)
    trained(run)
    waiting = [request for request, reply in grown if reply.sums is None and request.task.read(Task).wanted]
    assert all(request.gradients is None for request in waiting)
    assert len(waiting) == len(summed)
    assert bool(summed) != sealed_sides


@pytest.mark.parametrize("defended", [True, False])
def test_finding_6_with_a_pad_key_of_its_own_the_coordinator_opens_no_sides(
    make_tables: Callable[..., Path],
    federate: Callable,
    send: Callable,
    monkeypatch: pytest.MonkeyPatch,
    defended: bool,
) -> None:
    if not defended:
        monkeypatch.setattr("clients.post.verify", lambda *_: None)
    run = federate(make_tables(("tax",)))
    begun, own = Begun(run), PadSecret.new()
    columns = begun.started.columns.read(Columns)  # the coordinator cannot open it: even so

    def written(record: object) -> Letter:
        """A letter that the coordinator writes in the bank's name."""
        kind = f"{type(record).__module__}.{type(record).__qualname__}"
        introduced = Store(Path(run.config.state, "tax", "s")).read(Partners).introductions["tax"]
        context = Context(
            study="s", model=MODEL, step=1, settings=run.config.digest, sender="bank", kind=kind
        )
        return seal(
            Letter.of(record), context, Identity.new(), {"tax": introduced.keys}, head=Head(), encrypted=True
        )

    keys = Keys(sums=plain.PlainOwner(Packing(1, ((0, 1),))).public_key(), pad=own.public_key)
    task = written(replace(begun.task, ahead=True, wanted=False, keys=keys))
    level = written(Level(owners=np.empty(0, np.int8), splits=Splits.none(), pad=None))
    request = GrowRequest(task=task, level=level, gradients=None, sides=None)
    reply = send(run.config, request, Envelope("s", MODEL, 2), {"partition-id": 1}, sealed=True)

    refused = refusal_in(reply)
    assert (refused is not None and "is not signed by it" in refused) == defended
    if not defended:
        use = PadUse(study="s", model=MODEL, keys={"bank": own.public_key, "tax": columns.pad_key})
        setup = read_setup(Session(run.config, Envelope("s", MODEL), *folders(run, "tax")))
        opened = unpack(reply, Grown).sides ^ own.pad(use, "tax", columns.shape.bins, len(setup.codes))
        np.testing.assert_array_equal(opened, sides(setup.codes, columns.shape.bins))


class Sides:
    """What is known of sides in a training with two passive parties.

    matrices  by party: what it hands to the coordinator, and what is true, bool (m, n)
    relayed   bool (s, n): what is passed on of each split of another party, opened: with the pad that goes with it
    pads      bool (s, n): what the bank has of each pad before it keeps to the rows of the node
    truth     bool (s, n): where the split sends rows, and inside: which rows are in its node
    """

    def __init__(self, run, monkeypatch: pytest.MonkeyPatch) -> None:
        ask, inside, pads = run.federation.exchange.ask, [], []
        relayed, opened, truth, padded = [], [], [], {}

        def codes(party: str) -> tuple[np.ndarray, np.ndarray]:
            store = model(run, party)
            rows = np.flatnonzero(store.read(Start).roles != TEST)
            binning = store.read(Binning)
            return binning.transform(read_table(Store(store.folder.parent.parent)), rows), binning.bins

        def watch_ask(requests: dict, *rest: object) -> dict:
            replies = ask(requests, *rest)
            levels = {
                party: r.level.read(Level) for party, r in requests.items() if isinstance(r, GrowRequest)
            }
            for party, level in levels.items():
                if replies[party].sides is not None:
                    padded[party] = replies[party].sides
                if level.pad is not None:
                    (other,) = levels.keys() - {party}
                    relayed.append(requests[party].sides)
                    opened.append(requests[party].sides ^ level.pad)
                    truth.append(levels[other].splits.outcomes(codes(other)[0]))
            return replies

        def watch_within(bits: np.ndarray, nodes: np.ndarray, split: np.ndarray) -> np.ndarray:
            inside.append(nodes[0] == split[:, None])
            return within(bits, nodes, split)

        def watch_pads(bits: np.ndarray, nodes: np.ndarray, split: np.ndarray) -> np.ndarray:
            pads.append(bits)
            return within(bits, nodes, split)

        run.federation.exchange.ask = watch_ask
        monkeypatch.setattr(passive, "within", watch_within)
        monkeypatch.setattr(label_holder, "within", watch_pads)
        trained(run)
        self.truth, self.inside = np.concatenate(truth), np.concatenate(inside)
        rows = self.truth.shape[1]
        self.relayed, self.opened, self.pads = (
            unpacked(np.concatenate(bits), rows) for bits in (relayed, opened, pads)
        )
        self.matrices = {
            party: (unpacked(matrix, rows), unpacked(sides(*codes(party)), rows))
            for party, matrix in padded.items()
        }

    def agreement(self, bits: np.ndarray, where: np.ndarray) -> float:
        """How often bits of the splits are right: one half by chance."""
        return float((bits == self.truth)[where].mean())

    def repeated(self) -> bool:
        """Whether any two splits look the same on the way."""
        return len(np.unique(self.relayed, axis=0)) < len(self.relayed)


CHANCE = pytest.approx(0.5, abs=0.05)


@pytest.fixture
def known_sides(tables: Path, federate: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Sides]:
    """What is known in a training with few bins, so that cuts come again."""
    return lambda: Sides(federate(tables, boosting={"trees": 12, "patience": 0, "bins": 4}), monkeypatch)


def test_finding_1_the_coordinator_holds_no_side_and_a_party_those_of_a_split_s_node(
    known_sides: Callable[[], Sides],
) -> None:
    known = known_sides()
    assert min(known.inside.sum(), (~known.inside).sum()) > 500
    assert known.agreement(known.relayed, known.truth | True) == CHANCE
    for padded, true in known.matrices.values():
        assert (padded == true).mean() == CHANCE
        assert padded[true].mean() == CHANCE
    assert known.agreement(known.opened, known.inside) == 1
    assert known.agreement(known.opened, ~known.inside) == CHANCE
    # A pad that did not keep to the node would open all rows.
    assert known.agreement(known.relayed ^ known.pads, ~known.inside) == 1
    assert len(np.unique(known.truth, axis=0)) < len(known.truth), "some cuts are equal"
    assert not known.repeated()


def test_finding_1_without_pads_the_coordinator_holds_all_sides(
    known_sides: Callable[[], Sides], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(self: PadSecret, *use: object) -> np.ndarray:
        *_, bins, rows = use
        return np.zeros((int(bins.sum()) + 1, -(-rows // 8)), np.uint8)

    monkeypatch.setattr(PadSecret, "pad", nothing)
    for handed_over, true in known_sides().matrices.values():
        np.testing.assert_array_equal(handed_over, true)


def test_finding_1_without_masks_equal_cuts_look_the_same(
    known_sides: Callable[[], Sides], monkeypatch: pytest.MonkeyPatch
) -> None:
    for half in (label_holder, padding):
        monkeypatch.setattr(half, "mask", lambda seed, rows: np.zeros(-(-rows // 8), np.uint8))
    assert known_sides().repeated()
