"""The active party's choice of the rows that train, validate and test."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications
from clients.data.errors import DataError
from clients.randomness import own_generator
from clients.session import Session
from fl.errors import ProtocolError
from fl.splits import (
    TEST,
    TRAIN,
    VALIDATION,
    Roles,
    Split,
    SplitRequest,
    split_by_label,
    split_by_vintage,
    split_given_test,
)

SPLIT = "split"


def assign(session: Session, request: SplitRequest) -> Split:
    """A fixed test set where the run names one, else by vintage where the data have months, else by label."""
    config, applications = session.config, read_applications(session.study)
    # Not from the seed alone, which every party knows: with it the roles of a split by label would give labels away.
    rng = own_generator(
        f"split {request.seed}", "\0".join(applications.ids).encode(), applications.labels.tobytes()
    )
    if config.test_ids:
        test = np.isin(applications.ids, _read_ids(Path(config.test_ids)))
        split = Split(split_given_test(applications.labels, test, config.validation_share, rng), "file")
    elif np.isnat(applications.months).any():
        roles = split_by_label(applications.labels, config.test_share, config.validation_share, rng)
        split = Split(roles, "label")
    else:
        roles = split_by_vintage(applications.months, config.test_share, config.validation_share)
        split = Split(roles, "vintage")
    _check_classes(applications.labels, split.roles)
    session.store.write(SPLIT, {"roles": split.roles})
    return split


def _check_classes(labels: NDArray[np.int8], roles: Roles) -> None:
    """Each part must tell good from bad, be it to learn, to stop or to judge. Raises ProtocolError."""
    for role, name in ((TRAIN, "training"), (VALIDATION, "validation"), (TEST, "test")):
        if min(np.bincount(labels[roles == role], minlength=2)) < 2:
            raise ProtocolError(
                f"the {name} rows need two defaults and two non-defaults at least; there are too few applications"
            )


def _read_ids(path: Path) -> list[str]:
    """One id per line; a first line that names the column, as in a CSV file, matches no business and does no harm."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The file of test ids {path} cannot be read: {error}.") from None
    return [line.strip() for line in lines]
