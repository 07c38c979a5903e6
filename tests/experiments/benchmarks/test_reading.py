"""The benchmark of reading measures the readers on the same table."""

from pathlib import Path

from clients.data.files import open_table
from experiments.benchmarks.reading import measure, write_table


def test_both_readers_are_measured_on_a_table_that_is_read_whole(tmp_path: Path) -> None:
    kinds = write_table(tmp_path / "x.csv", rows=20, columns=6)

    assert open_table(tmp_path / "x.csv").read(kinds, unique_id=True).shape == (20, 6)
    seconds = measure(tmp_path / "x.csv", kinds)
    assert list(seconds) == ["pandas", "siloscore"]
    assert all(wall > 0 for wall, _ in seconds.values())
