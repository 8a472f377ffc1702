"""The house is in order: small folders that say what they are for, and documents that name only what exists.

tests/test_pages.py compares the tree of the README with the folders.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "command", "contract", "launch", "spark_jobs", "synth", "trainer", "vitrine")
ROOMS = (*PACKAGES, "deploy", "docs", "notebooks", "tests")
MOST_FILES = 12

FOLDERS = sorted(
    path
    for package in PACKAGES
    for path in (ROOT / package, *(ROOT / package).rglob("*"))
    if path.is_dir() and "__pycache__" not in path.parts
)
DOCUMENTS = sorted([*ROOT.glob("README*.md"), *ROOT.glob("CONTRIBUTING.md"), *ROOT.glob("docs/*.md")])
HISTORY = ROOT / "docs" / "LOG.md"  # names files as they were called at the time


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- folders --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_holds_at_most_a_dozen_files(folder: Path) -> None:
    files = sorted(path.name for path in folder.iterdir() if path.is_file())
    assert len(files) <= MOST_FILES, f"{len(files)} files: {', '.join(files)}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("[a-z]*/**/__init__.py")), ids=name_of)
def test_a_package_says_what_belongs_there_and_what_does_not(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    sentences = re.findall(r"[.;](?:\s|$)", text)
    assert len(sentences) >= 2, f"expected what belongs there and what does not, found {text!r}"


# --- documents ------------------------------------------------------------------------------------------------------


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def links_of(text: str) -> list[str]:
    """The targets of links into the repository, without anchors."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("#")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_to_a_file(document: Path) -> None:
    assert [link for link in links_of(text_of(document)) if not (document.parent / link).exists()] == []


_PATH = re.compile(rf"(?<![\w./:-])((?:{'|'.join(ROOMS)})/[\w./*-]*)")
# Answers of the server have a field `vitrine`, and the package of that name has no modules for users.
_MODULE = re.compile(rf"(?<![\w./:-])((?:{'|'.join(name for name in PACKAGES if name != 'vitrine')})(?:\.\w+)+)")


def missing_names(text: str) -> Iterator[str]:
    """Files and modules of the repository that stand between backticks and do not exist."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"`([^`]+)`", prose):
        for path in _PATH.findall(span):
            if not any(ROOT.glob(path.rstrip("/."))):
                yield path
        for name in _MODULE.findall(span):
            if not is_module_or_name(name):
                yield name


def is_module_or_name(dotted: str) -> bool:
    """Whether a module of this name exists, or one that has the last part of it as a name."""
    path = ROOT / dotted.replace(".", "/")
    if (
        path.is_dir()
        or path.with_suffix(".py").is_file()
        or ROOT.joinpath(*dotted.split(".")[:-1], "__main__.py").is_file()
    ):
        return True
    module, name = path.parent.with_suffix(".py"), path.name
    return module.is_file() and re.search(rf"^(?:class |def )?{name}\b", module.read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path != HISTORY], ids=name_of)
def test_every_file_and_module_in_backticks_exists(document: Path) -> None:
    assert sorted(set(missing_names(text_of(document)))) == []
