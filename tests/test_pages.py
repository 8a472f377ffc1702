"""Pages that describe the repository say what it holds: the READMEs' tree and the list of all options."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.pt-BR.md")
NOT_IN_THE_TREE = {".ci", "bench/results", "bench/results/prepare", "bench/results/train", "deploy/kubernetes"}


@pytest.fixture(name="options", scope="module")
def _options() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_options", ROOT / "docs" / "options.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def folders_of_the_repository() -> set[str]:
    """Folders with tracked files; of `tests` and `docs` only themselves."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folders = {str(parent) for name in listed.splitlines() for parent in Path(name).parents} - {"."}
    return {folder for folder in folders if not folder.startswith(("tests/", "docs/"))} - NOT_IN_THE_TREE


def folders_of_the_tree(readme: str) -> list[str]:
    """The paths that the indented lines of a README's last code block name."""
    block = readme.split("```")[-2]
    path: list[str] = []
    folders = []
    for line in block.strip("\n").splitlines():
        indent, name = re.match(r"( *)(\S+)/", line).groups()  # type: ignore[union-attr]  # a line that does not match fails
        path[len(indent) // 2 :] = [name]
        folders.append("/".join(path))
    return folders


@pytest.mark.parametrize("name", READMES)
def test_the_tree_names_every_folder_once_and_no_other(name: str) -> None:
    named = folders_of_the_tree((ROOT / name).read_text())

    assert len(named) == len(set(named))
    assert set(named) == folders_of_the_repository()


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_one_page(name: str) -> None:
    assert len((ROOT / name).read_text().splitlines()) <= 150


def test_the_pages_of_all_options_are_up_to_date(options: ModuleType) -> None:
    for path, text in options.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"run: python docs/options.py ({path.name} is out of date)"


def test_every_text_is_translated_and_no_translation_is_left_over(options: ModuleType) -> None:
    assert options.texts() == options.translations().keys()


def test_the_page_names_every_option_of_every_command(options: ModuleType) -> None:
    page = options.page(lambda text: text)
    for name, command in options.COMMANDS.items():
        section = page.split(f"## vitrine {name}\n")[1].split("\n## ")[0]
        for field in options.settings_fields(command.settings):
            option = field.name.upper() if field.name == command.positional else f"--{field.name.replace('_', '-')}"
            assert f"`{option}`" in section
