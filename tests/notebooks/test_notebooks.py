"""Both notebooks come from one source, and their code runs from top to bottom."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("vitrine.ipynb", "vitrine.pt-BR.ipynb")


@pytest.fixture(name="make", scope="module")
def _make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_notebooks", ROOT / "notebooks" / "make.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebooks_are_up_to_date(make: ModuleType) -> None:
    made = make.notebooks()
    assert sorted(path.name for path in made) == sorted(NAMES)
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, "run: python notebooks/make.py"


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_the_code_runs_from_top_to_bottom(micro_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a base that learns nothing, for its speed. The code is that of both notebooks."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("VITRINE_BASE", str(micro_base))
    monkeypatch.setenv("VITRINE_EPOCHS", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    english, portuguese = (nbformat.read(ROOT / "notebooks" / name, as_version=4) for name in NAMES)
    assert codes(english) == codes(portuguese)

    client = nbclient.NotebookClient(english, timeout=1_500, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()

    shown = [
        output.data.get("text/html", "")
        for cell in english.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "data" in output
    ]
    assert any("<iframe sandbox" in page for page in shown)
    assert any("<polyline" in page for page in shown)
    assert any("<blockquote>" in page for page in shown)
    assert any("<progress max=100 value=100>" in page for page in shown)
    assert (tmp_path / "adapter.zip").stat().st_size > 0


def codes(notebook: object) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]  # type: ignore[attr-defined]
