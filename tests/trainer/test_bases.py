"""Bases as they are: dates in chat templates, windows, several end tokens, experts, and what an adapter names."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
import torch
from peft import PeftConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, MixtralConfig, MixtralForCausalLM

from contract.errors import UserError
from tests.trainer.configs import small_config
from trainer.answers.answer import ask
from trainer.answers.answerer import load_answerer
from trainer.answers.settings import AskConfig
from trainer.engines.base import load_base, load_tokenizer
from trainer.engines.dense import experts_text
from trainer.runs.folder import frame_of, read_info
from trainer.train import train

SECONDS = "<|user|>It is {{ strftime_now('%H:%M:%S.%f') }}. {{ messages[0]['content'] }}<|assistant|>"


@pytest.fixture(name="base")
def _base(micro_base: Path, tmp_path: Path) -> Path:
    """A copy of the base, to be changed."""
    return Path(shutil.copytree(micro_base, tmp_path / "base"))


def change(path: Path, **values: object) -> None:
    """Writes values into a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_template_that_writes_the_time_neither_stops_a_resume_nor_changes_a_question(
    prepared, base: Path, tmp_path: Path
) -> None:
    (base / "chat_template.jinja").write_text(SECONDS)
    run = tmp_path / "run"
    train(small_config(prepared, base, run, max_steps=1))
    begun = read_info(run)
    train(small_config(prepared, base, run, max_steps=2, resume=True))

    assert read_info(run).frame == begun.frame
    assert begun.frame.before.startswith("<s><|user|>It is ")
    asked = load_answerer(run).encoder
    assert asked.forms["what-is"].prompt("TITLE") == begun.identity["prompt form"]
    assert load_answerer(run).encoder.prompt_ids("Red Kettle") == asked.prompt_ids("Red Kettle")


def test_a_run_that_kept_no_frame_finds_it_in_its_first_prompt(prepared, base: Path, tmp_path: Path) -> None:
    (base / "chat_template.jinja").write_text(SECONDS)
    run = tmp_path / "run"
    train(small_config(prepared, base, run, max_steps=1))
    info = read_info(run)

    assert frame_of(msgspec.structs.replace(info, frame=None)) == info.frame
    config = json.loads((run / "config.json").read_text())
    del config["frame"]
    (run / "config.json").write_text(json.dumps(config))
    train(small_config(prepared, base, run, max_steps=2, resume=True))
    assert read_info(run).frame == info.frame


def test_a_template_that_fails_ends_a_training_before_a_file_is_written(prepared, base: Path, tmp_path: Path) -> None:
    (base / "chat_template.jinja").write_text("{{ raise_exception('no') }}")

    with pytest.raises(UserError, match="the base has a chat template that fails: no; give it one"):
        train(small_config(prepared, base, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", ["seed", "remember"])
def test_the_window_is_held_against_the_bases_positions_before_training(
    prepared, base: Path, tmp_path: Path, recipe: str
) -> None:
    change(base / "config.json", max_position_embeddings=96)
    run, sizes = tmp_path / "run", {"tokens_per_step": None, "recipe": recipe}

    with pytest.raises(UserError, match="max_length = 97, expected at most 96: the base has no positions for longer"):
        train(small_config(prepared, base, run, **sizes, max_length=97))
    assert not run.exists()
    train(small_config(prepared, base, run, **sizes, max_length=None, max_steps=1))
    assert json.loads((run / "config.json").read_text())["config"]["max_length"] <= 96


@pytest.mark.parametrize("ends", [lambda end, other: [end, other], lambda _, other: other], ids=["list", "number"])
def test_an_answer_ends_at_any_end_token_of_tokenizer_and_base(
    prepared, base: Path, tmp_path: Path, ends, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second end token is one that stands in the middle of an answer, and that decoding would spell out."""
    run = tmp_path / "run"
    train(small_config(prepared, base, run, max_steps=1))
    answerer = load_answerer(run)
    end = answerer.tokenizer.eos_token_id
    prompt = torch.tensor([answerer.encoder.prompt_ids("Red Kettle")])
    whole = answerer.model.generate(input_ids=prompt, max_new_tokens=12, do_sample=False)
    ids = whole[0, prompt.shape[1] :].tolist()
    other = next(number for number in ids if number != ids[0])
    change(base / "generation_config.json", eos_token_id=ends(end, other))

    answerer = load_answerer(run)
    assert set(answerer.ends) == {end, other}
    expected = answerer.tokenizer.decode(ids[: ids.index(other)]).strip()
    for each in (
        answerer.answer("Red Kettle", max_new_tokens=12),
        *answerer.answers(["Red Kettle"], max_new_tokens=12),
    ):
        assert each == expected
    before = answerer.answer("Red Kettle", max_new_tokens=60, is_before=True)  # "before" ends there as well
    assert other not in answerer.tokenizer(before, add_special_tokens=False)["input_ids"]
    capsys.readouterr()
    ask(AskConfig(run=str(run), question="Red Kettle", max_new_tokens=12))
    assert capsys.readouterr().out.strip() == expected


def test_a_penalty_on_repetition_that_the_base_has_does_not_change_answers(
    prepared, base: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(small_config(prepared, base, run, max_steps=1))
    before = load_answerer(run).answer("Red Kettle", max_new_tokens=24)
    change(base / "generation_config.json", repetition_penalty=5.0, no_repeat_ngram_size=1)

    assert load_answerer(run).answer("Red Kettle", max_new_tokens=24) == before


@pytest.mark.parametrize("is_tiny", [False, True], ids=["folder", "made here"])
def test_an_adapter_names_a_base_that_exists_with_tokenizer_and_prompts_beside_it(
    prepared, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_tiny: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    if is_tiny:
        monkeypatch.setattr(
            "trainer.start.make_tiny_base", lambda _, folder, **__: shutil.copytree(base, folder, dirs_exist_ok=True)
        )
    train(small_config(prepared, "tiny" if is_tiny else "base", Path("run"), max_steps=1))

    for folder in ("run/adapter", "run/checkpoints/step-000001"):
        named = PeftConfig.from_pretrained(folder).base_model_name_or_path
        assert named == str(tmp_path / ("run/base" if is_tiny else "base"))
    prompts = json.loads(Path("run/adapter/prompt.json").read_text())
    assert prompts == {"what-is": {"before": "<s><|user|>What is ", "after": "?</s><|assistant|>", "is_lower": False}}
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(named), "run/adapter")
    form, tokenizer = prompts["what-is"], AutoTokenizer.from_pretrained("run/adapter")
    asked = tokenizer(f"{form['before']}Red Kettle{form['after']}", add_special_tokens=False, return_tensors="pt")
    assert asked["input_ids"][0].tolist() == load_answerer(Path("run")).encoder.prompt_ids("Red Kettle")
    assert model.generate(**asked, max_new_tokens=2).shape[1] > asked["input_ids"].shape[1]


def test_experts_that_stay_as_they_are_are_reported(
    prepared, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = load_tokenizer(str(base))
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = MixtralConfig(vocab_size=len(tokenizer), num_key_value_heads=2, num_local_experts=4, **sizes)
    torch.manual_seed(0)
    MixtralForCausalLM(config).save_pretrained(tmp_path / "experts")
    tokenizer.save_pretrained(tmp_path / "experts")
    train(small_config(prepared, tmp_path / "experts", tmp_path / "run", max_steps=1))

    lines = [line for line in capsys.readouterr().out.splitlines() if "experts" in line and "weights" in line]
    assert lines == [
        "the base has experts: their 73,728 weights stay in float32 (294.9 kB), and no adapter is trained on them; only"
        " the other linear layers are in 4 bit and trained"
    ]
    assert experts_text(load_base(str(base), device=torch.device("cpu"))) is None


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"model_type": "foo", "architectures": ["FooForCausalLM"]}, r"'foo' \(FooForCausalLM\)"),
        ({"model_type": "t5", "architectures": None}, "'t5'"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, r"'bert' \(BertForMaskedLM\)"),
    ],
)
def test_an_architecture_that_cannot_be_trained_is_named_with_those_that_can(
    prepared, base: Path, tmp_path: Path, changes: dict, found: str
) -> None:
    change(base / "config.json", **changes)

    with pytest.raises(UserError, match=f"has the architecture {found}, expected .*such as llama, mistral") as raised:
        train(small_config(prepared, base, tmp_path / "run"))
    assert "no such base" not in str(raised.value)


def test_a_title_that_fills_the_window_is_refused_in_a_line(
    prepared, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(small_config(prepared, base, run, max_steps=1))

    with pytest.raises(UserError, match=r"have [\d,]+ tokens, expected fewer than 128, the window that this run was"):
        ask(AskConfig(run=str(run), question="kettle " * 10_000))
    printed = capsys.readouterr()
    assert "kettle" not in printed.out + printed.err
    load_answerer(run).answers(["kettle " * 90], max_new_tokens=1)  # records of a catalogue may be as long
