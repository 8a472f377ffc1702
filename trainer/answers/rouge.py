"""ROUGE-L: how many words of the true text an answer has, in the same order."""

import re


def rouge_l(answer: str, truth: str) -> float:
    """F1 of the longest common subsequence of words, from 0 to 1 (Lin 2004). Time is the product of the lengths.

    Words are runs of letters and digits in lower case, as in the `rouge-score` package.
    """
    answer_words, true_words = _words(answer), _words(truth)
    common = _longest_common_subsequence(answer_words, true_words)
    if not common:
        return 0.0
    precision, recall = common / len(answer_words), common / len(true_words)
    return 2 * precision * recall / (precision + recall)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _longest_common_subsequence(first: list[str], second: list[str]) -> int:
    lengths = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for column, other in enumerate(second, start=1):
            above = lengths[column]
            lengths[column] = diagonal + 1 if word == other else max(above, lengths[column - 1])
            diagonal = above
    return lengths[-1]
