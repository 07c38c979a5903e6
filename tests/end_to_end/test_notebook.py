"""The notebook runs from its first cell to its last, with what the code offers to others."""

import ast
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "examples" / "first_study.ipynb"


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_kept_without_outputs_and_uses_no_private_name(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(notebook.cells) <= 16
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    names = [
        getattr(node, "attr", None) or getattr(node, "name", None) or getattr(node, "id", "")
        for cell in cells
        for node in ast.walk(ast.parse(cell.source.removeprefix("%matplotlib inline\n")))
    ]
    assert [name for name in names if str(name).startswith("_")] == []


@pytest.mark.slow
def test_it_runs_and_shows_models_scores_and_reasons(tmp_path: Path, notebook: nbformat.NotebookNode) -> None:
    shutil.copy(NOTEBOOK, tmp_path)

    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    ran = client.execute()

    outputs = [output for cell in ran.cells for output in cell.get("outputs", [])]
    shown = "\n".join(output.get("data", {}).get("text/plain", "") for output in outputs)
    for name in ("bank/party.toml", "federated-scorecard", "pooled-trees", "reason_zh"):
        assert name in shown
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    assert len((tmp_path / "scores.csv").read_text("utf-8").splitlines()) == 201
