"""Sums per bin of numbers that stay secret, over bins that stay secret.

One primitive carries the boosting and the scorecard: the key owner (the bank) has k numbers per row, a responder (a
passive party) a bin per row and column, and one of them learns the sums per group of rows, column and bin: the owner
(boosting, information value) or, masked, the responder (the scorecard's gradient). All engines are exact on integers,
so a model trained on any of them is the same model, bit for bit:

- `plain`: no encryption, for tests, twins and comparison;
- `lattice`: SEAL's BFV, 128-bit security at least; the default;
- `paillier`: the scheme that FATE uses, for comparison.

    rows, ranges = 20_000, ((-2048, 2048), (0, 512))
    owner = new_owner("lattice", rows, ranges)
    responder = new_responder("lattice", rows, ranges, owner.public_key())

    encrypted, ticket = owner.encrypt(values, offsets, [bin_counts])    # encrypted → responder; ticket stays
    reply = responder.sums(encrypted, offsets, bins, bin_counts)        # reply → owner
    sums = owner.decrypt(reply, ticket, bin_counts)                     # per column (groups, bins, k)

    reply, mask = responder.masked_sums(encrypted, offsets, bins, bin_counts)   # reply → owner; mask stays
    opened = owner.open_masked(reply, ticket, bin_counts)                       # opened → responder
    sums = responder.unmask(opened, mask)

Both halves know `rows` and `ranges`, which fix the parameters: the most rows of one group, and the least and
greatest value of each of the k numbers, zero included. What could overflow is refused: as ConfigError when a half is
made, as ValueError when numbers then break the promise. The fewer sums are possible, the cheaper: `lattice` puts all k
numbers of a row into one encryption while the product of their spans, rows · (greatest − least) + 1, is at most 2^51,
and into several beyond.

The argument `wanted` of `sums` and `decrypt` says which sums are made: fewer cost less, and whoever carries the reply
does not see how many they are.

Where several owners each have a key for the same rows and ranges, one number a row, the responder can have the total of
its sums over all of them, and each owner can, while none learns those of one owner:

    share = owner.share(reply, ticket, bin_counts)              # at each owner
    numbers = responder.mask_of(mask)                           # of each owner
    total, masks = (added(each, rows, ranges) for each in (shares, numbers_of_masks))
    sums = sums_of_shares(total, masks, rows, ranges, bin_counts)

One encryption serves any number of responders; `encrypt` is told the bin counts of each. With several requests over
the same rows (the levels of a tree), an engine that is `row_wise` need not send them again: the owner keeps
`owner.regroup(ticket, rows, offsets)` as ticket, the responder answers on `responder.regroup(encrypted, old_offsets,
rows, offsets)`; with the others the owner encrypts those rows anew. What arrives damaged, under another key, for
other rows or columns, or in answer to another request raises ProtocolError (`wire.py`).

Owners, tickets, masks and encrypted numbers are arrays, to be stored between messages; objects hold no other state,
save a cache at the lattice's responder, which pays when the same object serves the roots of many trees.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, cast

import numpy as np

from fl.encrypted_sums.halves import AnyWire, Integers, Owner, Responder, Sums
from fl.encrypted_sums.packing import Packing, split_columns
from fl.encrypted_sums.wire import Wire
from fl.errors import ConfigError, ProtocolError

__all__ = [
    "ENGINES",
    "Owner",
    "Responder",
    "Sums",
    "Wire",
    "added",
    "adds_up",
    "new_owner",
    "new_responder",
    "restore_owner",
    "sums_of_shares",
]

ENGINES = ("lattice", "paillier", "plain")


def new_owner(
    engine: str, rows: int, ranges: Sequence[tuple[int, int]], key_bits: int | None = None
) -> Owner:
    """An owner with a fresh key.

    rows      most rows of one group
    ranges    least and greatest value of each of the k numbers, zero included
    key_bits  only for `paillier`: length of the modulus, 2048 (if None) or more

    Raises ConfigError for an unknown engine, a key too short, or sums that the engine's parameters cannot carry.
    """
    if key_bits is not None and engine != "paillier":
        raise ConfigError("Only the engine paillier takes a key length.")
    options = () if key_bits is None else (key_bits,)
    return cast(Owner, _half(engine, "Owner")(_packing(rows, ranges), *options))


def restore_owner(engine: str, secret: AnyWire) -> Owner:
    """The owner whose `secret()` that was. Raises ConfigError for an unknown engine, ProtocolError for damage."""
    return cast(Owner, _half(engine, "Owner").restore(secret))


def new_responder(
    engine: str, rows: int, ranges: Sequence[tuple[int, int]], public_key: AnyWire
) -> Responder:
    """A responder under the owner's public key, for rows and ranges as in `new_owner`.

    It takes these from the run's settings and never from the owner, and understands no owner that has others. Raises
    ConfigError for an unknown engine or sums that it cannot carry, and ProtocolError when the key is damaged, below the
    engine's strength, or degenerate.
    """
    return cast(Responder, _half(engine, "Responder")(_packing(rows, ranges), public_key))


def adds_up(engine: str) -> bool:
    """Whether shares of several owners can be added with the engine. Raises ConfigError for an unknown one."""
    return cast(bool, _half(engine, "Owner").adds_up)


def added(numbers: Sequence[Integers], rows: int, ranges: Sequence[tuple[int, int]]) -> Integers:
    """The total (sums,) of shares, or of masks; rows is the most of all owners together.

    Raises ProtocolError unless all are as many whole numbers.
    """
    if len({each.shape for each in numbers}) != 1 or any(each.dtype != np.int64 for each in numbers):
        raise ProtocolError("shares and masks to be added must be as many whole numbers each")
    modulus = _packing(rows, ranges).modulus
    return np.asarray(sum(each % modulus for each in numbers) % modulus, np.int64)


def sums_of_shares(
    total: Integers, masks: Integers, rows: int, ranges: Sequence[tuple[int, int]], bin_counts: Integers
) -> Sums:
    """The sums of one group over several owners, by the total of their shares (sums,) and that of the masks.

    rows is the most of all owners together. Raises ProtocolError for numbers that are no such totals.
    """
    packing, count = _packing(rows, ranges), int(bin_counts.sum())
    if not total.shape == masks.shape == (count,) or not total.dtype == masks.dtype == np.int64:
        raise ProtocolError(f"totals of shares and masks must be {count} whole numbers each")
    sums = packing.unpack(total - masks, packing.modulus)
    return split_columns(sums[None], bin_counts)


def _packing(rows: int, ranges: Sequence[tuple[int, int]]) -> Packing:
    return Packing(int(rows), tuple((int(low), int(high)) for low, high in ranges))


def _half(engine: str, half: str) -> Any:
    """The class of an engine's owner or responder. Its libraries are imported only when it is used."""
    if engine not in ENGINES:
        raise ConfigError(
            f"There is no engine {engine!r} of encrypted sums; choose one of {', '.join(ENGINES)}."
        )
    try:
        module = import_module(f"{__name__}.{engine}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The engine {engine} needs the package {error.name}, which is not installed."
        ) from None
    return getattr(module, engine.capitalize() + half)
