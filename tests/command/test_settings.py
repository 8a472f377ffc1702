"""Settings come from defaults, a file and options, and every mistake is named at once."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from command.options import parse_settings, to_argv
from command.settings import load_settings, setting
from contract.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Oven:
    dish: str = setting(help="what is baked")
    degrees: int = setting(180, help="how hot, up to 100% safe")
    hours: float = setting(1.0, help="how long")
    fan: bool = setting(False, help="with air")
    rack: int | None = setting(None, help="which rack")


def _parse(*argv: str) -> Oven:
    return parse_settings(Oven, argv, prog="oven", description="Bakes.")


def test_options_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "oven.toml"
    file.write_text('dish = "bread"\ndegrees = 220\nhours = 2\n')

    assert _parse("--config", str(file), "--degrees", "230", "--fan") == Oven(
        dish="bread", degrees=230, hours=2.0, fan=True
    )


@pytest.mark.parametrize(
    "oven", [Oven(dish="a b"), Oven(dish="--x", degrees=1, hours=0.5, fan=True, rack=3)], ids=["defaults", "all"]
)
def test_the_argv_of_settings_gives_them_again(oven: Oven) -> None:
    assert _parse(*to_argv(oven)) == oven


def test_every_mistake_is_named_with_the_nearest_key(tmp_path: Path) -> None:
    file = tmp_path / "oven.toml"
    file.write_text('degress = 220\nhours = "long"\nfan = 1\n')

    with pytest.raises(UserError) as raised:
        load_settings(Oven, file=str(file), overrides={})
    message = str(raised.value)
    assert "unknown setting 'degress': did you mean 'degrees'?" in message
    assert "hours = 'long', expected float" in message
    assert "fan = 1, expected bool" in message
    assert "'dish' is missing: what is baked" in message


@pytest.mark.parametrize(("text", "message"), [("a = ", "is not TOML"), ("\xff", "is not TOML")])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.toml").write_bytes(text.encode("latin-1"))

    with pytest.raises(UserError, match=message):
        load_settings(Oven, file=str(tmp_path / "bad.toml"), overrides={})
    with pytest.raises(UserError, match="no such config file"):
        load_settings(Oven, file=str(tmp_path / "none.toml"), overrides={})


def test_help_names_every_setting_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        _parse("--help")

    text = capsys.readouterr().out
    assert exit_info.value.code == 0
    assert "how hot, up to 100% safe (default: 180)" in text
    assert "--no-fan" in text
