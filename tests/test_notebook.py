"""The tutorial notebook: it runs from top to bottom, and its outputs are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "world_models.ipynb"


def cells(kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"]
            if cell["cell_type"] == kind]


def test_outputs_are_kept_and_small() -> None:
    assert NOTEBOOK.stat().st_size < 1_000_000
    outputs = [output for cell in cells("code") for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 5
    assert not any(output["output_type"] == "error" for output in outputs)
    assert str(Path.home()) not in NOTEBOOK.read_text()


def test_its_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLDMODELS_TINY", "1")
    monkeypatch.chdir(NOTEBOOK.parents[1])
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells("code")):
        code = compile("".join(cell["source"]), f"{NOTEBOOK.name}, code cell {number + 1}", "exec")
        exec(code, names)  # as a kernel does, in one namespace
    assert names["mine"].shape == (867,)
    assert len(names["curve"]) == names["generation"] >= 2


@pytest.mark.slow
def test_it_runs_in_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("WORLDMODELS_TINY", "1")
    notebook = nbformat.read(NOTEBOOK, 4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3",
                            resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
