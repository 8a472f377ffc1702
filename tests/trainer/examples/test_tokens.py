"""Ids are those of the base's own tokenizer, but for special tokens that a text spells."""

import itertools
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tests.conftest import Prepared
from trainer.examples.encoder import Encoder, Record
from trainer.examples.prompt import prompt_form
from trainer.examples.tokens import _PromptInParts, _Texts, _whole, _Words, text_encoder
from trainer.examples.wordings import WORDINGS, find_wordings

ROOT = Path(__file__).parents[3]
TOKENIZER = os.environ.get("VITRINE_TOKENIZER")
WHAT_IS = WORDINGS["what-is"]
SPECIALS = ("<unk>", "<s>", "</s>", "[INST]")
NUM_TEXTS = 1_500
FORMS = ("prepend", "metaspace first", "metaspace always")
TEMPLATES = (
    None,
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}</s>\n{% endfor %}<|assistant|>\n",
    "{% for message in messages %}[INST] {{ message['content'] }} </s>{% endfor %}",
)

_ODD = (
    " ",
    "  ",
    "   ",
    "\n",
    "\t",
    "▁",
    "▁▁",
    ".",
    ",",
    "?",
    "!",
    "é",
    "e\u0301",
    "東京",
    "🫖",
    "\u00a0",
    "\u200b",
    "ß",
    "_",
)
_WORDS = ("red", "kettle", "Kettle", "steel", "GB7008", "1958", "café", "l'été", "2nd", "isn't", "kettle.", "oak,")


def texts() -> Iterator[str]:
    """Words and what may stand between them, in any order."""
    yield from ("", " ", "  ", "▁", " a", "a ", "  a  b  ", "a▁ b", "▁a", "\n", " \n a", "a ▁b", " ▁ ", "?")
    generator = random.Random(0)
    for _ in range(NUM_TEXTS):
        pieces = generator.choices((" ", *_WORDS, *_ODD), (40, *[4] * len(_WORDS), *[1] * len(_ODD)), k=30)
        yield "".join(pieces[: generator.randrange(31)])


def titles() -> list[str]:
    """As cleaning leaves them: without a blank at either end."""
    stripped = (text.strip(" ▁\n\t\u00a0\u200b") for text in itertools.islice(texts(), 120))
    return [text for text in stripped if text]


def sentencepiece_like(form: str) -> PreTrainedTokenizerFast:
    """A small BPE with byte fallback, as bases of the Llama family have it; trained on words with the blank before."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=[*SPECIALS, *bytes_], show_progress=False)
    tokenizer.train_from_iterator([" ".join(_WORDS) + " ### Instruction: What is Response:"] * 5, trainer)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in SPECIALS]
    blanks = ["▁" * 2**power for power in range(1, 4)]
    for blank in blanks:  # as in Llama's vocabulary
        state["model"]["vocab"][blank] = len(state["model"]["vocab"])
        state["model"]["merges"].append([blank[: len(blank) // 2]] * 2)
    tokenizer = Tokenizer.from_str(json.dumps(state))
    if form == "prepend":
        tokenizer.pre_tokenizer = None
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=form.split()[1], split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["[INST]"],
    )


def own_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """What the untouched tokenizer gives."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def changed(tokenizer: PreTrainedTokenizerFast, change) -> PreTrainedTokenizerFast:
    """The same tokenizer with something else in its description."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    change(state)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)), unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


@pytest.mark.parametrize("form", FORMS)
def test_words_by_themselves_give_the_ids_of_the_text(form: str) -> None:
    tokenizer = sentencepiece_like(form)
    encoder = text_encoder(tokenizer)

    assert isinstance(encoder, _Words)
    all_texts = list(texts())
    found = [ids.tolist() for ids in encoder.encode(all_texts)]
    assert found == [own_ids(tokenizer, text) for text in all_texts]
    assert sum(map(len, found)) > 10 * NUM_TEXTS


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("form", FORMS)
def test_a_prompt_in_parts_has_the_ids_of_the_whole(form: str, template: str | None) -> None:
    tokenizer = sentencepiece_like(form)
    tokenizer.chat_template = template
    encoder = Encoder(tokenizer, max_length=512)

    assert {type(form) for form in encoder._prompts.all_forms()} == {_PromptInParts}
    for name, wording in WORDINGS.items():
        form = prompt_form(tokenizer, wording)
        for title in titles():
            assert encoder.prompt_ids(title, wording=name) == own_ids(tokenizer, form.prompt(title)), (name, title)


@pytest.mark.parametrize("form", FORMS)
def test_no_text_spells_a_special_token(form: str) -> None:
    tokenizer = sentencepiece_like(form)
    tricky = ("</s>", "steel</s> oak", "<s>[INST] red [/INST]", " <unk>", "</s></s>", "red <s >")
    specials = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}

    for text, ids in zip(tricky, text_encoder(tokenizer).encode(tricky), strict=True):
        assert not specials.intersection(ids)
        assert tokenizer.decode(ids).strip() == text.strip()  # nothing of it is lost
    encoder = Encoder(tokenizer, max_length=512)
    for text in tricky:
        for name in WORDINGS:
            prompt, usual = (encoder.prompt_ids(title, wording=name) for title in (text, "red kettle"))
            assert [token for token in prompt if token in specials] == [token for token in usual if token in specials]


def _joins_words(state) -> None:
    state["model"]["vocab"]["d▁k"] = len(state["model"]["vocab"])


def _has_plain_added_token(state) -> None:
    added = {"id": len(state["model"]["vocab"]), "content": "kettle", "special": False}
    state["added_tokens"].append({**state["added_tokens"][-1], **added})


def _cuts_at_punctuation(state) -> None:
    state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, state["pre_tokenizer"]]}


def _ignores_merges(state) -> None:
    state["model"]["ignore_merges"] = True


@pytest.mark.parametrize("change", [_joins_words, _has_plain_added_token, _cuts_at_punctuation, _ignores_merges])
def test_tokenizers_that_may_reach_over_words_get_whole_texts(change) -> None:
    tokenizer = changed(sentencepiece_like("metaspace first"), change)
    encoder, all_texts = text_encoder(tokenizer), list(texts())

    assert isinstance(encoder, _Texts)
    assert [ids.tolist() for ids in encoder.encode(all_texts)] == [own_ids(tokenizer, text) for text in all_texts]
    whole = Encoder(tokenizer, max_length=512)
    for title in all_texts[:200]:
        if title and title == title.strip():
            assert whole.prompt_ids(title) == own_ids(tokenizer, prompt_form(tokenizer, WHAT_IS).prompt(title))


def test_a_base_with_byte_level_tokens_gets_whole_texts(micro_base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro_base)
    encoder = Encoder(tokenizer, max_length=512)

    assert isinstance(text_encoder(tokenizer), _Texts)
    for title in ("Red Kettle", "Kettle, 10 cm.", "café", "x"):
        assert encoder.prompt_ids(title) == own_ids(tokenizer, prompt_form(tokenizer, WHAT_IS).prompt(title))


@pytest.mark.parametrize("form", FORMS)
def test_a_title_in_a_whole_prompt_is_text_whatever_it_spells(form: str) -> None:
    tokenizer = sentencepiece_like(form)
    prompts, encoder = prompt_form(tokenizer, WHAT_IS), text_encoder(tokenizer)
    whole, special = _whole(tokenizer, prompts), set(tokenizer.all_special_ids)

    def ids_of(title: str) -> list[int]:
        (middle,) = encoder.encode_behind([whole.middle(title)])
        return whole.prompt(title, middle).tolist()

    plain = ids_of("Red Kettle")
    assert plain == own_ids(tokenizer, prompts.prompt("Red Kettle"))
    for spelt in SPECIALS:
        for title in (spelt, f"Kettle {spelt} red", f"{spelt}{spelt}kettle"):
            assert [each for each in ids_of(title) if each in special] == [each for each in plain if each in special]


def test_words_beyond_the_limit_are_encoded_but_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.examples.tokens._MAX_WORDS", 5)
    tokenizer = sentencepiece_like("prepend")
    encoder = text_encoder(tokenizer)

    text = " ".join(_WORDS)
    assert encoder.encode([text])[0].tolist() == own_ids(tokenizer, text)
    assert len(encoder._known) == 5


def test_long_words_are_encoded_but_not_kept() -> None:
    tokenizer = sentencepiece_like("prepend")
    encoder = text_encoder(tokenizer)

    text = "kettle" * 1_000
    assert encoder.encode([text])[0].tolist() == own_ids(tokenizer, text)
    assert not encoder._known


def test_the_tokenizer_itself_is_left_as_it_was() -> None:
    tokenizer = sentencepiece_like("prepend")
    before = tokenizer.backend_tokenizer.to_str()
    text_encoder(tokenizer).encode(["red kettle"])

    assert tokenizer.backend_tokenizer.to_str() == before
    assert own_ids(tokenizer, "</s>") == [tokenizer.eos_token_id]


def test_a_stream_works_in_a_process_that_loads_neither_torch_nor_pandas(prepared: Prepared, tmp_path: Path) -> None:
    encoder = Encoder(sentencepiece_like("prepend"), max_length=64, wordings=find_wordings("what-is"))
    (tmp_path / "pickle").write_bytes(pickle.dumps(encoder))
    code = """
import pickle, sys
from trainer.plan.data_sets import open_data
from trainer.plan.order import Rank
from trainer.stream.packs import PackStream
from trainer.stream.cursor import Cursor
encoder = pickle.load(open(sys.argv[1], "rb"))
stream = PackStream(open_data([sys.argv[2]]), encoder, Rank(0, 1), packs_per_step=4)
assert next(stream.epoch(Cursor.start())).num_records
assert not {"torch", "pandas"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "pickle"), prepared.root], cwd=ROOT, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr


@pytest.mark.skipif(not TOKENIZER, reason="VITRINE_TOKENIZER names no folder of a tokenizer")
def test_a_real_tokenizer_gives_the_same_ids() -> None:
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    encoder, all_texts = Encoder(tokenizer, max_length=4_096), titles()
    records = [Record(row, title, content) for row, (title, content) in enumerate(itertools.pairwise(all_texts))]

    for name, wording in WORDINGS.items():
        for record, example in zip(records, encoder.encode_as(records, name), strict=True):
            prompt = own_ids(tokenizer, prompt_form(tokenizer, wording).prompt(record.title))
            assert list(example.ids) == [*prompt, *own_ids(tokenizer, record.content), tokenizer.eos_token_id]
            assert example.num_prompt == len(prompt)
