"""What a run goes on from, and what it refuses to go on from."""

import json
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from contract.errors import UserError
from tests.trainer.configs import small_config
from trainer.answers.answerer import load_answerer
from trainer.config import TrainConfig
from trainer.engines.tiny import TinyShape, make_tiny_base
from trainer.runs.ledger import read_ledger
from trainer.runs.metrics import read_metrics
from trainer.train import train


def test_a_checkpoint_of_other_tokens_or_data_is_refused(
    prepared, other_prepared, micro_base: Path, tmp_path: Path
) -> None:
    """By the name of what differs, though the base lies where it lay."""
    base, run = tmp_path / "base", tmp_path / "run"
    shutil.copytree(micro_base, base)
    mixture = (f"{prepared.root}:0.7", f"{other_prepared.root}:0.3")
    config = replace(small_config(prepared, base, run), data=mixture, limit=None)
    train(replace(config, max_steps=1))
    resumed = replace(config, resume=True)

    def refused(changed: TrainConfig) -> str:
        with pytest.raises(UserError, match="step-000001 cannot be resumed: ") as raised:
            train(changed)
        return str(raised.value).partition("cannot be resumed: ")[2]

    assert refused(replace(resumed, data=(mixture[0], f"{other_prepared.root}:0.7"))) == (
        "weights was ['7/10', '3/10'] and is ['1/2', '1/2']"
    )
    assert refused(replace(resumed, data=mixture[:1])).startswith("data sets was ['")
    assert "max_length was 128 and is 256" in refused(replace(resumed, max_length=256))
    assert "limits was [None, None] and is [5, 5]" in refused(replace(resumed, limit=5))

    tokenizer = json.loads((base / "tokenizer.json").read_text())
    tokenizer["model"]["merges"].pop()
    (base / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert re.fullmatch("tokenizer was '[0-9a-f]{16}' and is '[0-9a-f]{16}'", refused(resumed))


def test_a_run_without_a_checkpoint_is_resumed_as_it_was_or_begun_anew(
    prepared, other_prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here after a start on shards that are not there."""
    data, run, anew = tmp_path / "data", tmp_path / "run", "has no checkpoint yet: its training begins anew"
    shutil.copytree(prepared.root, data)
    (data / "train").rename(tmp_path / "shards")
    config = replace(small_config(prepared, micro_base, run, max_steps=1), data=(str(data),))
    with pytest.raises(UserError, match="is damaged: found no file"):
        train(config)
    assert {path.name for path in run.iterdir()} == {"config.json", "expectation.json", "metrics.jsonl"}
    assert anew not in capsys.readouterr().out

    before = (run / "config.json").read_bytes()
    for changes, different in (
        ({"data": (other_prepared.root,)}, "data sets was .* and is "),
        ({"learning_rate": 1e-3}, "learning_rate was 0.005 and is 0.001;"),
    ):
        with pytest.raises(UserError, match=f"run cannot be resumed: {different}.*leave out --resume to begin anew"):
            train(replace(config, resume=True, **changes))
    assert (run / "config.json").read_bytes() == before
    (tmp_path / "shards").rename(data / "train")
    train(replace(config, resume=True))
    assert anew in capsys.readouterr().out
    with pytest.raises(UserError, match="holds a run already: give --resume"):
        train(config)

    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match="holds a run already"):  # its adapter
        train(config)
    shutil.rmtree(run / "adapter")
    (run / "checkpoints" / "step-000001").mkdir(parents=True)  # of which somebody may still want what is left
    with pytest.raises(UserError, match="holds a run already"):
        train(config)
    shutil.rmtree(run / "checkpoints")
    train(replace(config, data=(other_prepared.root,), limit=None))
    assert anew in capsys.readouterr().out
    assert json.loads((run / "config.json").read_text())["dataset_ids"] == [other_prepared.manifest.dataset_id]


def test_a_run_whose_records_never_add_up_ends_with_an_error(prepared, micro_base: Path, tmp_path: Path) -> None:
    """Not in an endless loop: here of a checkpoint that tells of fewer records than its lanes have given."""
    run = tmp_path / "run"
    train(small_config(prepared, micro_base, run, max_steps=1))
    path = run / "checkpoints" / "step-000001" / "state.json"
    state = json.loads(path.read_text())
    state["cursor"]["records"] -= 3
    path.write_text(json.dumps(state))

    with pytest.raises(UserError, match="epoch 0 is over with 57 of 60 records trained or skipped: the checkpoint"):
        train(small_config(prepared, micro_base, run, resume=True))


def test_what_is_cut_is_counted_over_the_whole_run(
    prepared, micro_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(small_config(prepared, micro_base, run, max_length=32, tokens_per_step=128, max_steps=5))
    train(small_config(prepared, micro_base, run, max_length=32, tokens_per_step=128, resume=True))

    num_cut = sum(line["cut_records"] for line in read_metrics(run))
    assert num_cut > 0
    assert capsys.readouterr().out.endswith(f"\n{num_cut} times a record was longer than 32 tokens and cut\n")


def test_a_last_line_of_metrics_that_was_cut_off_is_dropped(prepared, micro_base: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(small_config(prepared, micro_base, run, max_steps=2))
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "epo')
    assert [line["step"] for line in read_metrics(run)] == [1, 2]

    train(small_config(prepared, micro_base, run, max_steps=3, resume=True))
    assert [line["step"] for line in read_metrics(run)] == [1, 2, 3]


def test_a_run_from_before_several_wordings_is_asked_as_it_was_trained(
    prepared, micro_base: Path, tmp_path: Path
) -> None:
    """Its set `english` was a single question. It cannot be resumed with several."""
    run = tmp_path / "run"
    train(small_config(prepared, micro_base, run, max_steps=1))
    for path in (run / "config.json", run / "checkpoints" / "step-000001" / "state.json"):
        document = json.loads(path.read_text())
        for part in (document.get("config", {}), document["identity"]):
            part |= {"wording": "english"} if "wording" in part else {}
        del document["identity"]["wordings"]
        path.write_text(json.dumps(document))
    answerer = load_answerer(run)
    what_is = "<s><|user|>What is Red Kettle?</s><|assistant|>"
    assert answerer.tokenizer.decode(answerer.encoder.prompt_ids("Red Kettle")) == what_is
    assert answerer.encoder.wording_for("portuguese") == "what-is"

    with pytest.raises(UserError, match=r"step-000001 cannot be resumed: wordings was None and is \{'what-is': "):
        train(small_config(prepared, micro_base, run, max_steps=2, wording="english", resume=True))
    with pytest.raises(UserError, match="wording was 'english' and is 'what-is'"):
        train(small_config(prepared, micro_base, run, max_steps=2, resume=True))


def test_a_run_that_cannot_be_written_stops_with_what_to_do(prepared, micro_base: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(small_config(prepared, micro_base, run, max_steps=2, save_every=1))
    (run / "ledger").write_text("a file in its way")
    config = small_config(prepared, micro_base, run, max_steps=3, ledger=True, resume=True)

    with pytest.raises(UserError, match=r"run could not be written: .*ledger.*; mend that, then go on with --resume"):
        train(config)
    (run / "ledger").unlink()
    train(config)
    assert [line["step"] for line in read_metrics(run)] == [1, 2, 3]
    with pytest.raises(UserError, match="has step 3, expected 1: give --ledger at every resume"):
        list(read_ledger(run))


def test_a_tiny_base_that_was_not_yet_in_its_run_is_made_again(
    prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between config.json and the base leaves a run that can be resumed."""
    shape = TinyShape(vocabulary=400, hidden=64, layers=1, head=32, steps=2, max_length=128)
    monkeypatch.setattr("trainer.start.make_tiny_base", partial(make_tiny_base, shape=shape))
    run = tmp_path / "run"
    train(small_config(prepared, Path("tiny"), run, max_steps=1))
    shutil.rmtree(run / "base")
    shutil.rmtree(run / "checkpoints")

    train(small_config(prepared, Path("tiny"), run, max_steps=1, resume=True))
    assert load_answerer(run).answer("Red Cotton", max_new_tokens=1) is not None
