"""The label holder's choice of the rows that train, validate and test."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications
from clients.binned import check_seed
from clients.data.errors import DataError, listing
from clients.parties import Party
from clients.randomness import own_generator
from clients.session import Session
from fl.errors import ProtocolError
from fl.messages import Letter
from fl.splits import (
    TEST,
    TRAIN,
    VALIDATION,
    Assigned,
    Roles,
    Split,
    SplitRequest,
    split_by_label,
    split_by_vintage,
    split_given_test,
)
from fl.studies import whole_study


def assign(session: Session, request: SplitRequest) -> Assigned:
    """A fixed test set where the run names one, else by vintage where the data have months, else by label."""
    check_seed(session, request.seed)
    config, applications = session.training, read_applications(session.study)
    labels, months = applications.labels, applications.months
    # Not from the seed alone, which every party knows: with it the roles of a split by label would give labels away.
    rng = own_generator(f"split {request.seed}", "\0".join(applications.ids).encode(), labels.tobytes())
    if config.test_ids:
        # In a sub-study the file has the ids of other banks, too.
        is_only_bank = whole_study(session.envelope.study) == session.envelope.study
        ids = read_test_ids(Path(config.test_ids), session.party, is_only_bank)
        basis, test = "file", np.isin(applications.ids, ids)
        roles = split_given_test(labels, test, config.validation_share, rng)
    elif np.isnat(months).any():
        basis, roles = "label", split_by_label(labels, config.test_share, config.validation_share, rng)
    else:
        basis, roles = "vintage", split_by_vintage(months, config.test_share, config.validation_share)
    check_classes(labels, roles)
    split = Split(roles)
    session.store.keep(split)
    training, validation, test_rows = np.bincount(roles, minlength=3).tolist()
    return Assigned(
        split=Letter.of(split), basis=basis, training=training, validation=validation, test=test_rows
    )


def check_classes(labels: NDArray[np.int8], roles: Roles) -> None:
    """Each part must tell good from bad, be it to learn, to stop or to judge. Raises ProtocolError."""
    for role, name in ((TRAIN, "training"), (VALIDATION, "validation"), (TEST, "test")):
        if min(np.bincount(labels[roles == role], minlength=2)) < 2:
            raise ProtocolError(
                f"the {name} rows need two defaults and two non-defaults at least; there are too few applications"
            )


def read_test_ids(path: Path, bank: Party, is_only_bank: bool = True) -> list[str]:
    """The ids of a file of test ids, one per line; the first line may name the column, as in a CSV file.

    Raises DataError for a file that cannot be read or has no id of the bank's, and unless there are other banks for ids
    that it does not have: an id with a slip of the pen would otherwise train the models that it should judge.
    """
    try:
        text = path.read_text(bank.declaration.format.encoding).removeprefix("\ufeff")
        ids = [line.strip() for line in text.splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The file of test ids {path} cannot be read: {error}.") from None
    businesses = set(bank.applications().index)
    ids = [id_ for place, id_ in enumerate(ids) if id_ and (place or id_ in businesses)]
    unknown = [id_ for id_ in ids if id_ not in businesses]
    if len(unknown) == len(ids) or (unknown and is_only_bank):
        first = f": {listing(unknown, 3)}" if unknown else ""
        raise DataError(
            f"{path}: {bank.declaration.name} has no application of {len(unknown):,} of the {len(ids):,} test "
            f"ids{first}. Write one id per line, as the bank writes it, and leave out the others."
        )
    return ids
