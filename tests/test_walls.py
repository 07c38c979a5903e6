"""The walls of the house: who may import whom, and what must stay cheap to import.

Imports run one way, experiments → server, clients, synthetic_data → fl. Flower starts a fresh process for
each message in deployment, so what it imports there must not pull in the heavy libraries.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "fl": set(),
    "synthetic_data": {"fl"},
    "clients": {"fl"},
    "server": {"fl"},
    "experiments": {"fl", "synthetic_data", "clients", "server"},
}
HEAVY = {"torch", "sklearn", "mlflow", "matplotlib"}
STARTED_PER_MESSAGE = ("clients.app", "fl.messages", "fl.protocols", "fl.wire", "clients.answering")


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"there is no package {package} in {ROOT}"
    return found


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every module imported in a file, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # From a package, each name may be a module: `from fl import metrics`.
            package = _package(path, node)
            yield from ((node.lineno, f"{package}.{alias.name}") for alias in node.names)


def _package(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    above = path.relative_to(ROOT).parent.parts
    return ".".join([*above[: len(above) - node.level + 1], *([node.module] if node.module else [])])


def breaches(package: str, forbidden: set[str], exempt: frozenset[str] = frozenset()) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(package)
        if path.relative_to(ROOT).as_posix() not in exempt
        for line, name in imports(path)
        if name.partition(".")[0] in forbidden
    ]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package: str) -> None:
    assert breaches(package, set(MAY_IMPORT) - MAY_IMPORT[package] - {package}) == []


def test_no_part_of_the_house_imports_its_tests() -> None:
    assert [breach for package in MAY_IMPORT for breach in breaches(package, {"tests"})] == []


def test_learning_code_meets_flower_in_one_module_only() -> None:
    assert breaches("fl", {"flwr"}, exempt=frozenset({"fl/wire.py"})) == []


@pytest.mark.parametrize("package", ["fl", "clients"])
def test_tracking_is_no_business_of_learning_or_parties(package: str) -> None:
    assert breaches(package, {"mlflow"}) == []


@pytest.mark.parametrize("module", STARTED_PER_MESSAGE)
def test_what_is_started_for_each_message_imports_nothing_heavy(module: str) -> None:
    # In a process of its own, since this one may have imported them already; what imports import counts too.
    program = f"import {module}, sys; print(*sorted({HEAVY!r} & set(sys.modules)))"

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import server.app", "server.app"),
        ("from server import app", "server.app"),
        ("from .. import parties", "clients.parties"),
        ("from .base import Party", "clients.parties.base.Party"),
        ("def f():\n    import torch.nn", "torch.nn"),
    ],
)
def test_every_way_to_import_is_seen(
    line: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "clients" / "parties" / "x.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)

    assert [found for _, found in imports(path)] == [name]
