"""Made-up records with the lengths of the catalogue: titles of 15 words, descriptions with its quartiles and tail.

Every word is one token of the tokenizer, so lengths in tokens are known. A model can learn only which words are
frequent; time and memory do not depend on that.
"""

import bisect
import random
import re
from typing import Final

from transformers import PreTrainedTokenizerBase

from trainer.examples.encoder import Example

PROMPT: Final = "<|user|>\nWhat is this product? {title}</s>\n<|assistant|>\n"
MAX_LENGTH: Final = 2048
_MEAN_ANSWER_TOKENS: Final = 173
_TITLE_WORDS: Final = (5, 25)
# Share of descriptions that are at most this long, in characters (AmazonTitles-1.3MM; the last two are guesses).
_QUANTILES: Final = (
    (0.0, 10),
    (0.05, 47),
    (0.25, 194),
    (0.5, 398),
    (0.75, 805),
    (0.95, 1_728),
    (0.99, 3_000),
    (1, 5_000),
)


def make_texts(tokenizer: PreTrainedTokenizerBase, num: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """(title, description) pairs, the same for the same tokenizer, number and seed."""
    generator = random.Random(seed)
    words = sorted(word[1:] for word in tokenizer.get_vocab() if re.fullmatch("▁[a-z]{3,}", word))
    weights = [1 / rank for rank in range(1, len(words) + 1)]  # Zipf
    generator.shuffle(words)
    lengths = [_length(generator.random()) for _ in range(num)]
    factor = _MEAN_ANSWER_TOKENS / (sum(lengths) / num)
    texts = []
    for length in lengths:
        title = generator.choices(words, weights, k=generator.randint(*_TITLE_WORDS))
        content = generator.choices(words, weights, k=max(1, round(length * factor)))
        texts.append((" ".join(title), " ".join(content)))
    return texts


def make_examples(tokenizer: PreTrainedTokenizerBase, texts: list[tuple[str, str]]) -> list[Example]:
    """The records as tokens, with the end token, cut to the window."""
    prompts = tokenizer([PROMPT.format(title=title) for title, _ in texts])["input_ids"]
    answers = tokenizer([content for _, content in texts], add_special_tokens=False)["input_ids"]
    examples = []
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        ids = [*prompt, *answer, tokenizer.eos_token_id]
        examples.append(Example(row, ids[:MAX_LENGTH], len(prompt), max(0, len(ids) - MAX_LENGTH)))
    return examples


def _length(share: float) -> float:
    index = bisect.bisect_right(_QUANTILES, (share, float("inf")))
    (low_share, low), (high_share, high) = _QUANTILES[index - 1], _QUANTILES[min(index, len(_QUANTILES) - 1)]
    return low + (high - low) * (share - low_share) / max(1e-9, high_share - low_share)
