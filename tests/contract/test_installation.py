"""The command that installs the rest of this project names where the project came from."""

import json
from pathlib import Path

import pytest

from contract.installation import install_text


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (None, "pip install 'vitrine[spark]'"),
        (
            {"url": "file:///tmp/vitrine-1-py3-none-any.whl", "archive_info": {}},
            "pip install 'vitrine[spark] @ file:///tmp/vitrine-1-py3-none-any.whl'",
        ),
        (
            {"url": "https://host/vitrine", "vcs_info": {"vcs": "git"}},
            "pip install 'vitrine[spark] @ git+https://host/vitrine'",
        ),
        ({"url": "file:///src", "dir_info": {"editable": True}}, "from the project's folder: pip install '.[spark]'"),
    ],
)
def test_the_command_names_the_origin(
    origin: object, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "vitrine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vitrine\nVersion: 1\n")
    if origin:
        (info / "direct_url.json").write_text(json.dumps(origin))
    (tmp_path / "vitrine.egg-info").mkdir()  # what a build leaves in the project's folder
    (tmp_path / "vitrine.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: vitrine\nVersion: 1\n")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert install_text("spark") == text
