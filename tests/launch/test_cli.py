"""The command line: what it runs, and what it says when it cannot."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from command.machine import count_gpus
from command.settings import load_settings
from launch import cli, heavy
from launch.argv import train_argv
from launch.demo import CONFIGS
from spark_jobs.config import PrepareConfig
from tests.conftest import write_data_set
from trainer.config import TrainConfig


def _vitrine(*argv: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "launch.cli", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=environment or None, check=False)


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        cli.main([*([command] if command else []), "--help"])

    text = capsys.readouterr().out
    assert exit_info.value.code == 0
    assert "%" not in text.replace("100%", "")
    assert f"examples:\n  vitrine {command}" in text or not command


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["prepare", "--input", "/nowhere.json", "--output", "OUT"], "nowhere.json"),
        (["prepare", "--output", "OUT"], "'input' is missing"),
        (["prepare", "--input", "x", "--output", "OUT", "--text-profile", "sead"], "did you mean 'seed'?"),
        (["train", "--data", "OUT", "--run", "RUN"], "no manifest.json in OUT"),
        (["train", "--data", "OUT", "--run", "RUN", "--epochs", "0"], "epochs = 0, expected at least 1"),
        (["train", "--config", "bad.toml"], "unknown setting 'epoch': did you mean 'epochs'?"),
        (["train", "--run", "RUN", "--resume"], "nothing to resume: there is no run in RUN"),
        (
            ["train", "--data", "OUT:x", "--run", "RUN"],
            "the weight of OUT must be a positive number such as 0.5, found 'x'",
        ),
        (["ask", "--run", "RUN", "What is it?"], "no run in RUN"),
        (["evaluate", "--run", "RUN"], "no run in RUN"),
        (["synth", "--rows", "0", "--output", "x.json"], "rows = 0, expected at least 1"),
        (["train", "--data", "OUT", "--run", "s3://b/run"], "expected a local folder"),
        (["train", "--data", "OUT", "--run", ""], "'run' is empty"),
        (["train", "--data", "", "--run", "RUN"], "'data' is empty"),
        (["train", "--data", "OUT", "--run", "RUN", "--epochs", "x"], "invalid int value: 'x'"),
        (["train", "--data", "s3://b/data", "--run", "RUN"], "AWS_ENDPOINT_URL = 'store:9000', expected a URL"),
        (["train", "--config", ""], "cannot read the config file"),
        (["train", "--config", "."], "cannot read the config file ."),
        (["ask", "--run", "RUN", "--max-new-tokens", "0", "x"], "max_new_tokens = 0"),
        (
            ["train", "--data", "data", "--run", "RUN", "--base", "./nothere"],
            "no such folder: ./nothere; give the folder",
        ),
        (["train", "--data", "data", "--run", "RUN", "--base", "a/b/c"], "no such folder: a/b/c; give the folder"),
        (["train", "--data", "data", "--run", "RUN", "--base", "bad.toml"], "'bad.toml' is a file, expected a folder"),
        (["ask", "--run", "RUN", "x"], "no run in RUN"),
        (["evaluate", "--run", "RUN", "--seen", "-1"], "seen = -1, expected at least 0"),
        (["evaluate", "--run", "RUN", "--seen", "0", "--unseen", "0"], "at least"),
        (["synth", "--rows", "5", "--output", "bad.toml/x.json"], "bad.toml"),
        (["verify", "OUT"], "no manifest.json in OUT"),
        (["verify", "bad.toml"], "bad.toml is a file, expected a prepared data set: prepare it first"),
        (
            ["train", "--data", "bad.toml", "--run", "RUN"],
            "first, with 'vitrine prepare --input bad.toml --output data'",
        ),
        (["verify", "OUT", "--num-processes", "0"], "num_processes = 0, expected at least 1"),
        (["inspect", "OUT"], "no manifest.json in OUT"),
        (["inspect", "OUT", "--records", "-1"], "records = -1, expected at least 0"),
        (["inspect", "OUT", "--split", "val"], "there is no --records"),
        (["inspect", "OUT", "--json", "--records", "2"], "without records"),
        (["train", "--fast"], "unknown arguments for train: --fast"),
        (["trian"], "invalid choice: 'trian'"),
    ],
)
def test_a_users_mistake_is_told_in_one_line_with_code_2(
    argv: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(cli.__file__).parents[1]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "store:9000")
    write_data_set(tmp_path / "data", [("Red Mug", "A mug.")])
    Path("bad.toml").write_text('epoch = 1\ndata = "d"\nrun = "r"\n')

    try:
        code = cli.main(argv)
    except SystemExit as exited:  # argparse
        code = exited.code

    error = capfd.readouterr().err
    assert code == 2
    assert message in error
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.toml", "data"]


def test_what_accelerate_refuses_is_told_by_it_alone(
    prepared, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", "--data", prepared.root, "--run", str(tmp_path / "run"), "--cpu", "--", "--no-such-option"]

    assert cli.main(argv) == 2
    error = capfd.readouterr().err
    assert "--no-such-option" in error
    assert "ended from outside" not in error


def test_what_accelerate_would_take_for_a_script_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["train", "--data", "d", "--run", "r", "--", "foo"])

    assert raised.value.code == 2
    assert "expected an option of 'accelerate launch' behind --, found foo" in capfd.readouterr().err


def test_debug_shows_where_an_error_comes_from() -> None:
    told = _vitrine("train", "--data", "/nowhere", "--run", "r", "--debug")

    assert "Traceback" in told.stderr


def test_a_dry_run_prints_the_engines_own_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prepare", "--input", "a b.json", "--output", "out", "--dry-run"]) == 0
    assert "-m spark_jobs.prepare '--input=a b.json' --output=out" in capsys.readouterr().out


def test_training_is_launched_by_accelerate_one_process_a_gpu() -> None:
    config = TrainConfig(data=("d",), run="r")

    on_gpus = train_argv(config, num_processes=4, use_cpu=False, accelerate=["--main_process_port", "29501"])
    assert on_gpus[1:3] == ["-m", "accelerate.commands.launch"]
    assert on_gpus[on_gpus.index("--num_processes") + 1] == "4"
    assert "--multi_gpu" in on_gpus
    assert on_gpus.index("--main_process_port") < on_gpus.index("trainer.train") < on_gpus.index("--data=d")
    assert "--cpu" in train_argv(config, num_processes=1, use_cpu=True)
    assert "--cpu" not in train_argv(config, num_processes=2, use_cpu=True)  # there it would mean one process


@pytest.mark.parametrize(
    ("num", "gpus", "told"),
    [
        ("1", 0, ""),
        ("3", 0, ""),
        ("4", 0, "4 processes share 3 cores"),
        ("2", 1, "2 processes share 1 GPU:"),
        ("2", 2, ""),
    ],
)
def test_more_processes_than_there_is_room_for_are_warned_of(
    prepared, num: str, gpus: int, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus))))

    assert cli.main(["train", "--data", prepared.root, "--run", "RUN", "--num-processes", num, "--dry-run"]) == 0
    warned = capsys.readouterr().err
    assert warned.startswith(f"warning: {told}") if told else not warned


def test_synth_replaces_a_file_only_when_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "trn.json"
    output.write_text("mine")
    argv = ["synth", "--rows", "5", "--output", str(output)]

    assert cli.main(argv) == 2
    assert "is there already" in capsys.readouterr().err
    assert output.read_text() == "mine"
    assert cli.main([*argv, "--overwrite"]) == 0
    assert len(output.read_text().splitlines()) == 5


_GRANDCHILD = "import time; print(1, flush=True); time.sleep(60)"
_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_GRANDCHILD!r}])"
_PARENT = f"""
import os, sys
from launch.processes import run_passing_signals
sys.exit(run_passing_signals([sys.executable, "-c", {_CHILD!r}], os.environ))
"""


def test_a_module_whose_reader_has_read_enough_ends_in_silence() -> None:
    """As in `vitrine ask … | head -c 10`: the command does not take it for killed."""
    module = "import sys; from command.entry import exit_code; sys.exit(exit_code(lambda: print('a line', flush=True)))"
    command = "import sys; from launch.processes import run_explaining, run_passing_signals; sys.stdin.read()\n"
    command += f"argv = [sys.executable, '-c', {module!r}]\n"
    command += "sys.exit(run_explaining(run_passing_signals, argv, command='ask', environment={}))"
    running = subprocess.Popen(
        [sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    running.stdout.close()
    running.stdout = None

    _, error = running.communicate(timeout=20)
    assert (running.returncode, error) == (141, b"")


@pytest.mark.parametrize("argv", [["--help"], ["train", "--help"], ["inspect", "DATA", "--records", "9"]])
def test_any_terminal_shows_what_a_command_prints_and_may_close(argv: list[str], tmp_path: Path) -> None:
    write_data_set(tmp_path / "data", [(f"Caf\u00e9 \u8336 {number}", "\U0001f375 " * 90) for number in range(9)])
    argv = [str(tmp_path / "data") if each == "DATA" else each for each in argv]
    shown = _vitrine(*argv, **{**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (shown.returncode, shown.stderr) == (0, "")
    assert ("\\u8336" in shown.stdout) == ("inspect" in argv)

    running = subprocess.Popen(
        [sys.executable, "-m", "launch.cli", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    assert running.stdout is not None
    running.stdout.close()
    running.stdout = None
    assert running.communicate(timeout=20)[1] == ""
    assert running.returncode == 141 or "--help" in argv  # argparse itself may pass over a reader that is gone


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_processes_of_a_command(number: signal.Signals) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "1\n"

    running.send_signal(number)
    _, error = running.communicate(timeout=20)  # ends only when no process holds the pipe

    assert running.returncode == 128 + number
    assert error == "stopped\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_catalogue_that_is_not_to_be_finished_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "launch.cli", "synth", "--rows", "3000000", "--output", str(tmp_path / "c.json")]
    running = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)  # its workers are about to be started

    running.send_signal(number)
    said, _ = running.communicate(timeout=60)  # ends only when no process holds the pipe

    assert (running.returncode, said.strip().splitlines()[-1]) == (128 + number, "stopped")
    assert not list(tmp_path.iterdir())


def test_gpus_are_counted_as_cuda_would_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for visible, num in (("0,2", 2), ("", 0), ("-1", 0)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert count_gpus() == num


@pytest.mark.parametrize("path", sorted(Path(str(CONFIGS)).glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_config_loads(path: Path) -> None:
    cls = PrepareConfig if "prepare" in path.stem else TrainConfig
    paths = {"input": "i", "output": "o"} if cls is PrepareConfig else {"data": "d", "run": "r"}

    assert load_settings(cls, file=str(path), overrides=paths)


def test_the_command_line_loads_nothing_heavy() -> None:
    code = "import launch.cli, sys; print(json.dumps([m for m in sys.modules if '.' not in m]))"
    loaded = subprocess.run([sys.executable, "-c", f"import json; {code}"], capture_output=True, text=True, check=True)

    assert not {"torch", "pyspark", "transformers", "pandas", "accelerate"} & set(json.loads(loaded.stdout))


def test_constraints_name_versions_and_no_addresses() -> None:
    root = Path(cli.__file__).parents[1]
    lines = (root / "constraints.txt").read_text().splitlines()

    assert all(line.count("==") == 1 and "/" not in line and "@" not in line for line in lines)
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert not any("torch" in requirement for requirement in extras["spark"])
    assert not any("pyspark" in requirement for requirement in extras["train"])


def test_training_without_a_gpu_on_a_base_of_the_hub_is_warned_of(
    prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(heavy, "run_module", lambda *_, **__: 0)  # it would fetch the base
    argv = ["train", "--data", prepared.root, "--run", str(tmp_path / "run")]
    for more, told in (
        ([], "no GPU is visible, so unsloth/tinyllama-chat-bnb-4bit is trained on the CPU"),
        (["--cpu"], ""),
    ):
        assert cli.main([*argv, *more]) == 0
        warned = capsys.readouterr().err
        assert warned.startswith(told) if told else not warned


def test_sources_that_are_no_data_set_are_an_error_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text('{"config": {"base": "tiny"}}')
    for command in (["ask", "Red Kettle"], ["serve"]):
        assert cli.main([*command, "--run", str(tmp_path), "--ground", str(tmp_path / "nowhere")]) == 2
        assert "no manifest.json in" in capsys.readouterr().err
