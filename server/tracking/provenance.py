"""What a study ran on: which data, and which version of this code."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class DatasetFacts:
    """Name, digest of the files (up to 36 characters), place and number of applicants of a dataset.

    Of a simulated one also the digests of the files as they were written, and the files that have changed since.
    """

    name: str
    digest: str
    source: str
    rows: int
    files: Mapping[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


ROOT = Path(__file__).parents[2]
"""The folder that holds the packages of this code."""


def code_version(root: Path = ROOT) -> str | None:
    """The commit that is checked out in `root`, with `-dirty` if files differ; None where there is no repository."""
    # A package inside somebody else's repository, as a virtual environment may be, must not report that one.
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        # No git here, or a repository that it distrusts: the version is unknown, which is no reason to stop.
        return None
