"""A base that comes as a file is converted once, exactly, and never taken for one while it is not whole."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from contract.errors import UserError
from tests.trainer.bases.files import LLAMA3, TOKENS, small_llama, write_gguf
from trainer.bases import conversion
from trainer.bases.cache import folder_of
from trainer.bases.gguf_file import GgufFile
from trainer.bases.source import gguf_of, require_base
from trainer.engines.base import load_tokenizer


@pytest.fixture(name="user_cache", autouse=True)
def _user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the conversions of a test go; the fixture `smollm2` was made before, elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vitrine" / "bases"


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (small_llama(ties=True), {}),
        (small_llama(ties=False), {}),
        (small_llama(ties=True, rope=LLAMA3), {"llama.rope.freq_base": 500_000.0}),
        (
            small_llama(ties=True, rope={"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}),
            {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0},
        ),
    ],
    ids=["tied", "untied", "llama3", "linear"],
)
def test_a_converted_model_computes_what_the_original_does(
    tmp_path: Path, model: LlamaForCausalLM, changes: dict
) -> None:
    folder = folder_of(str(write_gguf(tmp_path / "model.gguf", model, changes)))
    converted = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    ids = torch.randint(len(TOKENS), (1, 40), generator=torch.Generator().manual_seed(0))
    assert torch.equal(converted(ids).logits, model(ids).logits)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.decode(tokenizer("Ação 12 ab")["input_ids"]) == "Ação 12 ab"
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<s>", "</s>", None)
    assert converted.generation_config.eos_token_id == 2


def test_the_weights_of_the_real_base_are_those_of_its_file(smollm2: str) -> None:
    """The package gguf reads the file by itself; the smallest weights of a layer, and the embedding."""
    file = gguf.GGUFReader(gguf_of("smollm2"))
    state = AutoModelForCausalLM.from_pretrained(smollm2).state_dict()
    stored = {tensor.name: tensor for tensor in file.tensors}
    for name, new_name in (
        ("token_embd", "model.embed_tokens"), ("blk.7.attn_v", "model.layers.7.self_attn.v_proj"),
        ("blk.7.ffn_down", "model.layers.7.mlp.down_proj"), ("output_norm", "model.norm"),
    ):  # fmt: skip
        tensor = stored[f"{name}.weight"]
        values = torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type).copy())
        assert torch.equal(state[f"{new_name}.weight"], values.to(torch.bfloat16)), name


def test_the_real_base_speaks_english(smollm2: str) -> None:
    """Were queries and keys in the wrong order, it would not know what comes next."""
    tokenizer, model = load_tokenizer(smollm2), AutoModelForCausalLM.from_pretrained(smollm2).eval()
    text = "The capital of France is Paris. The capital of Germany is Berlin. The capital of Italy is"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    output = model(ids, labels=ids)

    assert tokenizer.decode(output.logits[0, -1].argmax()) == " Rome"
    assert output.loss < 1.6


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("10 cm 1,200", ["1", "0", " cm", " ", "1", ",", "2", "0", "0"]),
        ("a  12", ["a", "  ", "1", "2"]),
        ("It's  açaí\n", ["It", "'s", " ", " a", "ç", "a", "í", "\n"]),
        ("<|im_end|> fim", ["<|im_end|>", " f", "im"]),
    ],
)
def test_texts_are_cut_as_the_real_base_was_trained(smollm2: str, text: str, pieces: list[str]) -> None:
    """Each digit for itself: transformers' own reader of GGUF files cuts a run of blanks before a number otherwise."""
    tokenizer = load_tokenizer(smollm2)
    assert [tokenizer.decode(number) for number in tokenizer(text)["input_ids"]] == pieces


def test_the_special_tokens_are_those_that_the_file_names(smollm2: str) -> None:
    tokenizer = load_tokenizer(smollm2)
    names = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)

    assert names == ("<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>")
    question = [{"role": "user", "content": "?"}]
    prompt = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    assert prompt.endswith("<|im_start|>user\n?<|im_end|>\n<|im_start|>assistant\n")


def test_a_second_use_converts_nothing_and_a_damaged_copy_is_made_again(tmp_path: Path, user_cache: Path) -> None:
    path = str(write_gguf(tmp_path / "model.gguf", small_llama(ties=True)))
    folder = Path(folder_of(path))
    first = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}
    assert folder_of(path) == str(folder)
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()} == first

    def damages() -> None:
        (folder / "model.safetensors").write_bytes(first["model.safetensors"][0][:-1] + b"x")
        yield
        (folder / "tokenizer.json").unlink()
        yield
        (folder / "digests.json").write_text("{")
        yield
        (folder / "more.json").write_text("{}")
        yield

    for _ in damages():
        assert folder_of(path) == str(folder)
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
            n: data for n, (data, _) in first.items()
        }
    assert [file.name for file in user_cache.iterdir()] == [folder.name]


_CONVERT = """
import sys, time
from trainer.bases import conversion
from trainer.bases.cache import folder_of
write = conversion.write_conversion
def write_and_wait(file, folder):
    write(file, folder)
    print("written", flush=True)
    time.sleep(600)
conversion.write_conversion = write_and_wait
folder_of(sys.argv[1])
"""


def test_a_conversion_that_is_killed_leaves_no_base(tmp_path: Path, user_cache: Path) -> None:
    path = str(write_gguf(tmp_path / "model.gguf", small_llama(ties=True)))
    with subprocess.Popen([sys.executable, "-c", _CONVERT, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        process.kill()
    left = [file.name for file in user_cache.iterdir()]
    assert [name.startswith(".") for name in left] == [True]

    folder = Path(folder_of(path))
    assert [file.name for file in user_cache.iterdir()] == [folder.name]


def test_two_conversions_at_once_make_one_base(
    tmp_path: Path, user_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(write_gguf(tmp_path / "model.gguf", small_llama(ties=True)))
    write, begun, others_wait = conversion.write_conversion, threading.Semaphore(0), threading.Event()

    def write_slowly(file: GgufFile, folder: Path) -> None:
        begun.release()
        others_wait.wait(60)
        write(file, folder)

    monkeypatch.setattr(conversion, "write_conversion", write_slowly)
    with ThreadPoolExecutor(3) as pool:
        folders = [pool.submit(folder_of, path) for _ in range(3)]
        assert begun.acquire(timeout=60)
        assert not begun.acquire(timeout=0.5)  # a second one would write into the first one's folder
        others_wait.set()
        assert len({future.result() for future in folders}) == 1
    assert not begun.acquire(blocking=False)
    assert len(list(user_cache.iterdir())) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer.ggml.eos_token_id": None}, "names no end token"),
        ({"tokenizer.ggml.eos_token_id": 10**6}, r"eos_token_id = 1000000, expected a number below"),
        ({"tokenizer.ggml.pre": "deepseek-llm"}, r"cuts texts by the rules 'deepseek-llm' .*expected one of gpt-2"),
        ({"tokenizer.ggml.model": "bert"}, "a tokenizer of the kind 'bert'"),
        ({"tokenizer.ggml.merges": ["a", "b c d"]}, "merges that do not fit"),
        ({"tokenizer.ggml.tokens": ["a", "a"]}, "2 tokens, 1 of them different"),
        ({"tokenizer.chat_template": "{% for"}, "a chat template that fails"),
        ({"llama.block_count": 10**9}, "is damaged: it has 20 weights for 1000000000 layers"),
        ({"llama.embedding_length": "64"}, "embedding_length = '64', expected a size"),
        ({"llama.attention.head_count": 5}, "is no plain Llama: .*hidden size"),
        ({"llama.block_count": 3}, r"not the weights of a Llama; missing: blk\.2\.attn_norm"),
        ({"llama.block_count": 1}, r"not the weights of a Llama; unknown: 'blk\.1\.attn_q"),
        ({"llama.feed_forward_length": 97}, r"of another shape: blk\.0\.ffn_gate\.weight of shape \(96, 64\) for \(97"),
        ({"llama.embedding_length": None}, "has no value 'embedding_length'"),
        ({"llama.expert_count": 8}, "is no plain Llama: expert_count = 8"),
        ({"llama.rope.scaling.type": "longrope"}, r"scales its positions in a way \(longrope\)"),
    ],
)
def test_a_file_that_cannot_be_converted_is_refused_in_a_line(
    tmp_path: Path, user_cache: Path, changes: dict, message: str
) -> None:
    path = write_gguf(tmp_path / "model.gguf", small_llama(ties=True), changes)
    with pytest.raises(UserError, match=message) as caught:
        folder_of(str(path))
    assert "\n" not in str(caught.value)
    assert not list(user_cache.iterdir())


def test_another_architecture_a_cut_file_and_what_is_no_file_are_refused_before_anything_starts(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", small_llama(ties=True), architecture="gemma3")
    with pytest.raises(UserError, match=r"architecture 'gemma3', expected llama"):
        require_base(str(path))
    whole = write_gguf(tmp_path / "whole.gguf", small_llama(ties=True)).read_bytes()
    for end in (0, 3, 7, 20, 900, 5_000):
        path.write_bytes(whole[:end])
        with pytest.raises(UserError, match=r"is no GGUF file|is damaged or cut off|cannot be read"):
            require_base(str(path))
    path.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=r"is cut off: it has .* bytes"):
        folder_of(str(path))
    path.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(UserError, match="is no GGUF file"):
        require_base(str(path))
    with pytest.raises(UserError, match="no such base model: there is no file"):
        require_base(str(tmp_path / "none.gguf"))


def test_a_cache_that_cannot_be_written_is_reported_in_a_line(tmp_path: Path, user_cache: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", small_llama(ties=True))
    user_cache.parent.mkdir(parents=True)
    user_cache.write_text("a file")
    with pytest.raises(UserError, match=r"could not be written: .*XDG_CACHE_HOME"):
        folder_of(str(path))


def test_no_template_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_gguf(tmp_path / "model.gguf", small_llama(ties=True), {"tokenizer.chat_template": None})
    assert AutoTokenizer.from_pretrained(folder_of(str(path))).chat_template is None
    assert "has no chat template" in capsys.readouterr().err
