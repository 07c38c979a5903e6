"""What secure sums cost a bank: `python -m experiments.benchmarks.secure_sums --banks 5`.

CPU seconds of one bank from its numbers to the sums over all banks, and the bytes that it shows and is told, beside
those of its plain numbers.
"""

import secrets
import time
from typing import Annotated

import numpy as np
import typer

from fl.secure_sums import KEY, Keys, Use, added

app = typer.Typer()


def cost_of(numbers: int, banks: int) -> tuple[float, int, int]:
    """CPU seconds of a bank in the mean over them, the bytes of what it shows, and those of its plain numbers."""
    group, names = secrets.token_bytes(KEY), [f"bank_{place}" for place in range(banks)]
    keys = [Keys(bank=name, private=secrets.token_bytes(KEY), group=group) for name in names]
    public = {one.bank: Keys.public_of(one.private) for one in keys}
    use = Use(study="study", model="banks-boosting/1", step=1, banks=public)
    values = np.random.default_rng(1).integers(-(2**40), 2**40, numbers)
    began = time.process_time()
    shown = [one.mask(values, use) for one in keys]
    masked = time.process_time() - began
    total = added(shown)
    began = time.process_time()
    sums = [one.unmask(total, use) for one in keys]
    spent = masked + time.process_time() - began
    if not all(np.array_equal(one, banks * values) for one in sums):
        raise AssertionError("a secure sum is wrong")
    return spent / banks, shown[0].nbytes, values.nbytes


@app.command(help=__doc__)
def main(
    sizes: Annotated[
        list[int], typer.Option("--numbers", help="Numbers that each bank adds; may be repeated.")
    ] = [  # noqa: B006
        10_000,
        1_000_000,
    ],
    banks: Annotated[int, typer.Option(help="Banks that add.")] = 5,
) -> None:
    """Measure and print a table."""
    print("| numbers | banks | CPU s per bank | MB shown per bank | MB of plain numbers |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for numbers in sizes:
        seconds, shown, plain = cost_of(numbers, banks)
        print(
            f"| {numbers:,} | {banks} | {seconds:.3f} | {shown / 1e6:.2f} | {plain / 1e6:.2f} |", flush=True
        )


if __name__ == "__main__":
    app()
