"""The label holder's choice of the rows that train, validate and test."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications
from clients.data.errors import DataError
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


def assign(session: Session, request: SplitRequest) -> Assigned:
    """A fixed test set where the run names one, else by vintage where the data have months, else by label."""
    config, applications = session.training, read_applications(session.study)
    labels, months = applications.labels, applications.months
    # Not from the seed alone, which every party knows: with it the roles of a split by label would give labels away.
    rng = own_generator(f"split {request.seed}", "\0".join(applications.ids).encode(), labels.tobytes())
    if config.test_ids:
        basis, test = (
            "file",
            np.isin(
                applications.ids, _read_ids(Path(config.test_ids), session.party.declaration.format.encoding)
            ),
        )
        roles = split_given_test(labels, test, config.validation_share, rng)
    elif np.isnat(months).any():
        basis, roles = "label", split_by_label(labels, config.test_share, config.validation_share, rng)
    else:
        basis, roles = "vintage", split_by_vintage(months, config.test_share, config.validation_share)
    _check_classes(labels, roles)
    split = Split(roles)
    session.store.keep(split)
    training, validation, test_rows = np.bincount(roles, minlength=3).tolist()
    return Assigned(
        split=Letter.of(split), basis=basis, training=training, validation=validation, test=test_rows
    )


def _check_classes(labels: NDArray[np.int8], roles: Roles) -> None:
    """Each part must tell good from bad, be it to learn, to stop or to judge. Raises ProtocolError."""
    for role, name in ((TRAIN, "training"), (VALIDATION, "validation"), (TEST, "test")):
        if min(np.bincount(labels[roles == role], minlength=2)) < 2:
            raise ProtocolError(
                f"the {name} rows need two defaults and two non-defaults at least; there are too few applications"
            )


def _read_ids(path: Path, encoding: str) -> list[str]:
    """One id per line; a first line that names the column, as in a CSV file, matches no business and does no harm."""
    try:
        return [line.strip() for line in path.read_text(encoding).removeprefix("\ufeff").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The file of test ids {path} cannot be read: {error}.") from None
