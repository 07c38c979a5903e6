"""The digests of the economies of seed 1, by which a machine can be tested for giving the same data as all others.

``python -m synthetic_data.published > synthetic_data/published.toml`` writes them, and
``python -m synthetic_data.published base recession`` prints those of two economies.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from synthetic_data.banks import Banks
from synthetic_data.dataset import PARTIES, generate
from synthetic_data.digests import digests
from synthetic_data.worlds import WORLDS

PUBLISHED = Path(__file__).with_suffix(".toml")
"""The file that holds them: a table for each of `ECONOMIES`, of digests by file."""
ECONOMIES: dict[str, tuple[str, int, bool, Banks]] = {
    **{world: (world, 200, False, Banks()) for world in WORLDS},
    "demo": ("base", 20_000, False, Banks()),
    "true-pd": ("base", 200, True, Banks()),
    "three-banks": ("base", 200, False, Banks((0.7, 0.2, 0.1), skew="region")),
}
"""World, number of applicants, whether the true probability of default is estimated, and banks, by published name."""


def economy_digests(name: str) -> dict[str, str]:
    """Generate one of `ECONOMIES` with the records of all parties, and return the digest of each file."""
    world, businesses, truth, banks = ECONOMIES[name]
    with tempfile.TemporaryDirectory() as temporary:
        generate(
            folder := Path(temporary, "economy"), businesses, world, 1, truth, parties=PARTIES, banks=banks
        )
        return digests(folder)


def main(names: list[str]) -> None:
    """Print the digests of the economies of those names, or of all, as TOML."""
    print("# SHA-256 of what each file says; written by: python -m synthetic_data.published")
    for name in names or ECONOMIES:
        print(
            f"\n[{name}]",
            *(f'"{path}" = "{digest}"' for path, digest in economy_digests(name).items()),
            sep="\n",
        )


if __name__ == "__main__":
    main(sys.argv[1:])
