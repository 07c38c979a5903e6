"""`siloscore benchmark`: from what was typed to a file of results, and to a table with a submission in it."""

from pathlib import Path

from experiments.contenders import all_contenders
from experiments.display import benchmark_tables, console, progress_bars
from experiments.frozen_benchmark.cases import BUSINESSES, choose
from experiments.frozen_benchmark.lines import lines_by_set, with_submission
from experiments.frozen_benchmark.results import Benchmark, read_benchmark, write_benchmark
from experiments.frozen_benchmark.running import run_benchmark
from experiments.outputs import check_file, check_folder
from experiments.settings import words
from experiments.study import check_contenders
from fl.errors import ConfigError


def run_and_write(
    out: Path,
    cases: str,
    contenders: str,
    businesses: int,
    credit: Path | None,
    tables: Path | None,
    against: str,
) -> Benchmark:
    """Run the benchmark, with progress, and write its results. Raises ConfigError before any work."""
    check_file(out, "The results")
    if tables:
        check_folder(tables, "The tables")
    # The truth is no model, and simulating it takes longer than all models.
    names = words(contenders) or tuple(name for name in all_contenders() if name != "true-pd")
    check_contenders(names)
    check_contenders((against,))
    chosen = choose(words(cases), credit)
    with progress_bars() as report:
        benchmark = run_benchmark(chosen, names, businesses, credit, tables, report)
    write_benchmark(benchmark, out)
    return benchmark


def judge(results: Path, submission: Path, name: str, against: str) -> Benchmark:
    """The results of an earlier run, with a submission among them. Raises ConfigError for a file that is wrong."""
    benchmark = with_submission(read_benchmark(results), submission, name or submission.stem)
    if not any(line.model == against for case in benchmark.cases for line in case.lines):
        raise ConfigError(
            f"The results have no model {against!r} to compare with; name another by --against."
        )
    return benchmark


def show(benchmark: Benchmark, against: str) -> None:
    """Print a table for each set of cases, with the gain over a model where the results have that."""
    console.print(*benchmark_tables(lines_by_set(benchmark, against), against), sep="\n")
    if not benchmark.frozen:
        console.print(
            f"These are not the figures of the benchmark, whose economies have {BUSINESSES:,} businesses."
        )
