"""The notebooks run from nothing, and what they show is what the answers said."""

import json
import os
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from experiments.notebook_log import write_log

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def execute(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, log: Path | None
) -> nbformat.NotebookNode:
    """Run a copy in a folder of its own, with a Jupyter that reads and writes nothing outside it."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / name
    shutil.copy(FOLDER / name, copy)
    for variable in (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "IPYTHONDIR",
        "MPLCONFIGDIR",
    ):
        monkeypatch.setenv(variable, str(folder / variable.lower()))
    monkeypatch.delenv("P402_DEMO_LOG", raising=False)
    if log is not None:
        monkeypatch.setenv("P402_DEMO_LOG", str(log))
    notebook = nbformat.read(copy, as_version=4)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute(env=dict(os.environ))


def outputs_of(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory):
    log = tmp_path_factory.mktemp("notebooks") / "log"
    return log, write_log(log, rounds=400, seed=7)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_on_a_log_and_draws(name, written, tmp_path, monkeypatch):
    done = execute(name, tmp_path / "run", monkeypatch, written[0])
    kinds = {kind for output in outputs_of(done) for kind in output.get("data", ())}
    assert "image/png" in kinds
    assert not [o for o in outputs_of(done) if o.output_type == "stream" and o.name == "stderr"]


def test_a_notebook_runs_where_there_is_no_log_at_all(tmp_path, monkeypatch):
    done = execute("anomaly_thresholds.ipynb", tmp_path / "fresh", monkeypatch, None)
    assert any("2,400 rounds" in output.get("text", "") for output in outputs_of(done))


def test_a_log_that_is_named_but_absent_fails_and_says_so(tmp_path, monkeypatch):
    with pytest.raises(CellExecutionError, match="is no folder"):
        execute("savings.ipynb", tmp_path / "run", monkeypatch, tmp_path / "nowhere")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_outputs_and_without_paths(name):
    text = (FOLDER / name).read_text()
    nbformat.validate(nbformat.reads(text, as_version=4))
    code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert str(Path.home()) not in text
    assert "assert " in text, "a notebook checks what it shows"
