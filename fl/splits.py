"""Which rows train, which stop the training, and which judge it: by vintage, by label, or as a file says.

Roles are an int8 array (n,) of TRAIN, VALIDATION and TEST. Ids never decide a role.

Conversation `splits/1`, one round trip: `SplitRequest` → `Assigned` from the label holder.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.errors import ProtocolError
from fl.messages import Count, Letter, PerRow, Reader, Request, Setting, ToParties, request

TRAIN, VALIDATION, TEST = 0, 1, 2

Roles = NDArray[np.int8]


@dataclass(frozen=True)
class Split:
    """The role of every position: int8 (n,) of TRAIN, VALIDATION and TEST."""

    roles: PerRow


@dataclass(frozen=True, kw_only=True)
class Assigned:
    """The split, how it was decided (`vintage`, `label` or `file`), and how many rows have each role."""

    split: ToParties[Split]
    basis: Setting[str]
    training: Count
    validation: Count
    test: Count


def in_all(assigned: Iterable[Assigned]) -> Assigned:
    """How many rows of several banks have each role; it holds no split, since each bank has its own."""
    each = list(assigned)
    return Assigned(
        split=Letter(b""),
        basis=", ".join(sorted({one.basis for one in each})),
        training=sum(one.training for one in each),
        validation=sum(one.validation for one in each),
        test=sum(one.test for one in each),
    )


@request("assign", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True)
class SplitRequest(Request[Assigned]):
    """Asks the label holder to give every position a role, under this seed where chance decides."""

    seed: Setting[int]


def split_by_vintage(months: NDArray[np.datetime64], test_share: float, validation_share: float) -> Roles:
    """Last vintages test, those before validate, the rest train.

    months is datetime64[M] (n,). Whole vintages only: each boundary lies where the share of rows behind it comes
    nearest to the wanted one. Raises ProtocolError with fewer than three vintages.

    >>> months = np.array(["2023-01", "2023-01", "2023-02", "2023-03"], "datetime64[M]")
    >>> split_by_vintage(months, test_share=0.25, validation_share=0.25).tolist()
    [0, 0, 1, 2]
    """
    vintages, counts = np.unique(months, return_counts=True)
    if len(vintages) < 3:
        raise ProtocolError(
            f"A split by vintage needs at least three observation months; the data have {len(vintages)}."
        )
    behind = np.cumsum(counts[::-1])[::-1] / len(months)  # share of rows in this vintage and later ones
    first_test = 2 + int(np.argmin(np.abs(behind[2:] - test_share)))
    candidates = behind[1:first_test] - behind[first_test]
    first_validation = 1 + int(np.argmin(np.abs(candidates - validation_share)))
    roles = np.full(len(months), TRAIN, np.int8)
    roles[months >= vintages[first_validation]] = VALIDATION
    roles[months >= vintages[first_test]] = TEST
    return roles


def split_by_label(
    labels: NDArray[np.int8], test_share: float, validation_share: float, rng: np.random.Generator
) -> Roles:
    """Random roles with the same bad rate in each; labels is (n,) of 0 and 1."""
    test = _stratified(labels, np.arange(len(labels)), test_share, rng)
    return split_given_test(labels, test, validation_share, rng)


def split_given_test(
    labels: NDArray[np.int8], test: NDArray[np.bool_], validation_share: float, rng: np.random.Generator
) -> Roles:
    """A fixed test set, (n,) bool; of the other rows a stratified `validation_share` validates.

    Raises ProtocolError when the test set is empty or leaves nothing to train on.

    >>> labels, test = np.array([0, 0, 0, 0, 1, 1], np.int8), np.array([True] + 5 * [False])
    >>> split_given_test(labels, test, validation_share=0.5, rng=np.random.default_rng(1)).tolist()
    [2, 1, 1, 0, 1, 0]
    """
    rest = np.flatnonzero(~test)
    if not test.any() or not len(rest):
        raise ProtocolError("The test set must hold some of the aligned rows, and not all of them.")
    roles = np.where(test, TEST, TRAIN).astype(np.int8)
    roles[_stratified(labels, rest, validation_share, rng)] = VALIDATION
    return roles


def _stratified(
    labels: NDArray[np.int8], rows: NDArray[np.int_], share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A mask (n,) of a `share` of `rows`, drawn within each class."""
    chosen = np.zeros(len(labels), bool)
    for value in (0, 1):
        members = rng.permutation(rows[labels[rows] == value])
        chosen[members[: round(share * len(members))]] = True
    return chosen
