"""What an alignment of two parties costs: `python -m experiments.benchmarks.alignment --ids 30000`.

CPU seconds of everything between two lists of ids and the positions of the matches: both parties' hashing, blinding and
raising, and the matching. Half of the ids are common.
"""

import time
from typing import Annotated

import numpy as np
import typer

from fl.alignment.intersection import hash_to_points, match_points, new_exponent, raise_to

app = typer.Typer()


def align(ids: int) -> tuple[float, int]:
    """CPU seconds and matches for two parties with that many ids each."""
    bank_ids = np.array([f"{number:018d}" for number in range(ids)])
    partner_ids = np.array([f"{number:018d}" for number in range(ids // 2, ids + ids // 2)])
    began = time.process_time()
    bank_exponent, partner_exponent = new_exponent(), new_exponent()
    bank = raise_to(hash_to_points(bank_ids), bank_exponent)
    partner = raise_to(hash_to_points(partner_ids), partner_exponent)
    rows = match_points(raise_to(bank, partner_exponent), raise_to(partner, bank_exponent))
    return time.process_time() - began, int((rows >= 0).sum())


@app.command(help=__doc__)
def main(
    sizes: Annotated[list[int], typer.Option("--ids", help="Ids of each party; may be repeated.")] = [  # noqa: B006
        10_000,
        30_000,
        100_000,
    ],
) -> None:
    """Measure and print a table."""
    print("| ids per party | matches | CPU s |\n| ---: | ---: | ---: |")
    for ids in sizes:
        seconds, matches = align(ids)
        print(f"| {ids:,} | {matches:,} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    app()
