from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.federation import lifecycle
from experiments.federation.layout import Layout
from experiments.federation.processes import end, is_supervised

pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    layout = Layout(tmp_path)
    layout.coordinator.folder.mkdir(parents=True)
    yield layout
    end(layout, layout.coordinator.name)


def test_a_supervisor_that_cannot_be_seen_yet_is_waited_for(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def seen(at: Layout, name: str) -> bool:
        looks.append(is_supervised(at, name))
        return len(looks) > 2 and looks[-1]

    monkeypatch.setattr(lifecycle, "is_supervised", seen)

    lifecycle._spawn(layout, layout.coordinator, ("timeit", "-n1", "import time; time.sleep(60)"), {})

    assert len(looks) == 3
    assert is_supervised(layout, layout.coordinator.name)
