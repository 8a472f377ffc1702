"""The tokenizer of a GGUF file, from its own metadata: vocabulary, merges, cutting rules, special tokens, template."""

from collections.abc import Sequence
from typing import Any, Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer
from transformers import PreTrainedTokenizerFast

from contract.errors import UserError, first_line
from trainer.bases.gguf_file import GgufFile
from trainer.examples.prompt import read_frame

_BLANK: Final = "▁"  # as SentencePiece spells it
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4  # types of tokens
_WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{%s}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def make_tokenizer(file: GgufFile) -> PreTrainedTokenizerFast:
    """The file's tokenizer; UserError where its kind is not known, or it has no end token or a broken template."""
    metadata = file.metadata
    tokens, types = _tokens(file)
    tokenizer = _byte_level(file, tokens) if _kind(file) == "gpt2" else _sentence_piece(file, tokens, types)
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in _of_type(tokens, types, _UNKNOWN, _CONTROL)]
    )
    tokenizer.add_tokens(
        [AddedToken(token, normalized=False, special=False) for token in _of_type(tokens, types, _USER_DEFINED)]
    )
    special = {name: _token(file, tokens, key) for name, key in _SPECIAL.items()}
    if special["eos_token"] is None:
        raise UserError(f"{file.path} names no end token (tokenizer.ggml.eos_token_id): answers could not end")
    template = metadata.get("tokenizer.chat_template")
    if metadata.get("tokenizer.ggml.add_bos_token") is False and not _begins(template, special["bos_token"]):
        special["bos_token"] = None  # the file says that no text begins with it
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=template,
        model_max_length=metadata[f"{metadata['general.architecture']}.context_length"],
        clean_up_tokenization_spaces=False,
        **{name: token for name, token in special.items() if token is not None},
    )
    _check_template(file, made)
    return made


_SPECIAL: Final = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
}


def _kind(file: GgufFile) -> str:
    kind = file.metadata.get("tokenizer.ggml.model")
    if kind not in ("gpt2", "llama"):
        raise UserError(f"{file.path} has a tokenizer of the kind {kind!r}, expected 'gpt2' or 'llama'")
    return str(kind)


def _tokens(file: GgufFile) -> tuple[list[str], list[int]]:
    tokens = file.metadata.get("tokenizer.ggml.tokens") or []
    types = file.metadata.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    if not tokens or len(types) != len(tokens) or len(set(tokens)) != len(tokens):
        raise UserError(
            f"{file.path} has {len(tokens)} tokens, {len(set(tokens))} of them different, and {len(types)} types of"
            " tokens: expected as many of each"
        )
    return tokens, types


def _of_type(tokens: Sequence[str], types: Sequence[int], *wanted: int) -> list[str]:
    return [token for token, kind in zip(tokens, types, strict=True) if kind in wanted]


def _token(file: GgufFile, tokens: Sequence[str], key: str) -> str | None:
    number = file.metadata.get(f"tokenizer.ggml.{key}")
    if number is None:
        return None
    if not (isinstance(number, int) and 0 <= number < len(tokens)):
        raise UserError(f"{file.path} has tokenizer.ggml.{key} = {number!r}, expected a number below {len(tokens)}")
    return tokens[number]


def _begins(template: str | None, token: str | None) -> bool:
    """Whether a template writes this token, by its name or as text."""
    return bool(template and token and ("bos_token" in template or token in template))


def _byte_level(file: GgufFile, tokens: Sequence[str]) -> Tokenizer:
    name = file.metadata.get("tokenizer.ggml.pre")
    if name not in _CUTS:
        raise UserError(
            f"{file.path} cuts texts by the rules {name!r} (tokenizer.ggml.pre), expected one of {', '.join(_CUTS)}"
        )
    cuts, normalizer = _CUTS[name]
    merges = [tuple(merge.split(" ")) for merge in file.metadata.get("tokenizer.ggml.merges", [])]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    try:
        model = models.BPE(vocabulary, merges, ignore_merges=name == "llama-bpe")
    except Exception as error:  # tokenizers 0.23 raises nothing narrower
        raise UserError(f"{file.path} has merges that do not fit its tokens: {first_line(error)}") from error
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = cuts
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    return tokenizer


def _cut_by(pattern: str) -> PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


_GPT2: Final = pre_tokenizers.ByteLevel(add_prefix_space=False)
# By the name in tokenizer.ggml.pre: how texts are cut before the merges, and changed before that.
_CUTS: Final[dict[Any, tuple[PreTokenizer, Normalizer | None]]] = {
    "gpt-2": (_GPT2, None),
    "smollm": (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _GPT2]), None),
    "llama-bpe": (_cut_by(_WORDS % "1,3"), None),
    "qwen2": (_cut_by(_WORDS % "1"), normalizers.NFC()),
}


def _sentence_piece(file: GgufFile, tokens: Sequence[str], types: Sequence[int]) -> Tokenizer:
    """A BPE whose merges follow from the scores of its tokens: those of the better token come first."""
    scores = file.metadata.get("tokenizer.ggml.scores") or []
    if len(scores) != len(tokens):
        raise UserError(f"{file.path} has {len(scores)} scores (tokenizer.ggml.scores) for {len(tokens)} tokens")
    vocabulary = {token: number for number, token in enumerate(tokens)}
    merges = []
    for token, kind, score in zip(tokens, types, scores, strict=True):
        if kind in (_UNKNOWN, _CONTROL):
            continue
        halves = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        known = [pair for pair in halves if pair[0] in vocabulary and pair[1] in vocabulary]
        merges += [(-score, vocabulary[left], vocabulary[right], left, right) for left, right in known]
    unknown = _of_type(tokens, types, _UNKNOWN)
    tokenizer = Tokenizer(
        models.BPE(
            vocabulary,
            [merge[3:] for merge in sorted(merges)],
            unk_token=unknown[0] if unknown else None,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    has_prefix = file.metadata.get("tokenizer.ggml.add_space_prefix", True)
    spelling = [normalizers.Replace(" ", _BLANK)]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(_BLANK)] * bool(has_prefix) + spelling)
    steps = [decoders.Replace(_BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps + [decoders.Strip(" ", 1, 0)] * bool(has_prefix))
    return tokenizer


def _check_template(file: GgufFile, tokenizer: PreTrainedTokenizerFast) -> None:
    try:
        read_frame(tokenizer)
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from error
