"""Digests of what the files of a dataset say, by which two machines can tell whether they have the same economy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def content_digest(path: Path) -> str:
    """SHA-256 of what a Parquet file says, however its writer has compressed and divided it.

    The digest is over the columns in their order: the name, the type, and every value from the first row to the last.
    Numbers count as the little-endian bytes of their type, points in time as int64 seconds since 1970, and all else as
    text in UTF-8; each name, type and text ends with a zero byte.
    """
    total = hashlib.sha256()
    with pq.ParquetFile(path) as file:
        for name in file.schema_arrow.names:
            values = file.read(columns=[name]).column(0).to_numpy()
            if values.dtype.kind == "M":
                values = values.astype("datetime64[s]").astype(np.int64)
            total.update(f"{name}\0{'text' if values.dtype == object else values.dtype}\0".encode())
            if values.dtype == object:
                total.update("\0".join(map(str, values)).encode() + b"\0")
            else:
                total.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """`content_digest` of every Parquet file below the folder, by the file's path from there."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))
    return {path: content_digest(folder / path) for path in paths}


def changed_files(folder: Path, expected: Mapping[str, str]) -> tuple[str, ...]:
    """The files among those expected whose content has another digest, or that cannot be read as Parquet."""

    def same(path: str) -> bool:
        try:
            return content_digest(folder / path) == expected[path]
        except (OSError, pa.ArrowInvalid):
            return False

    return tuple(path for path in expected if not same(path))
