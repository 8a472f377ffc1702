"""The words of the plots in the languages of the documents, and numbers as these languages write them."""

from dataclasses import dataclass
from typing import Final

LANGUAGES: Final = ("en", "pt-BR")

_PORTUGUESE: Final = {
    "Three models and their loss on a description": "Três modelos e a sua perda em uma descrição",
    "loss, nats a token": "perda, nats por token",
    "chance: each token alike": "acaso: todos os tokens iguais",
    "the base before training": "a base antes do treino",
    "style: the best on unseen texts": "estilo: o melhor em textos novos",
    "memory: 15 exposures, seen texts": "memória: 15 exposições, textos vistos",
    "20,000 products: first the style, then the memory": "20.000 produtos: primeiro o estilo, depois a memória",
    "exposures": "exposições",
    "exposures (lines: the law)": "exposições (linhas: a lei)",
    "texts seen": "textos vistos",
    "texts unseen": "textos novos",
    "Whole descriptions that come back, rank 256": "Descrições inteiras que voltam, rank 256",
    "whole": "inteiras",
    "{} products": "{} produtos",
    "First 32 tokens that come back, 4,000 products, one H100": (
        "Primeiros 32 tokens que voltam, 4.000 produtos, uma H100"
    ),
    "first 32": "32 primeiros",
    "seconds of training": "segundos de treino",
    "What an adapter holds after 30 exposures": "O que um adaptador guarda depois de 30 exposições",
    "share held": "parte guardada",
    "rank (line: the law)": "rank (linha: a lei)",
    "Which knob: 4,000 products, 10 exposures": "Qual botão: 4.000 produtos, 10 exposições",
    "whole descriptions": "descrições inteiras",
    "rank 64, rate 2e-3": "rank 64, taxa 2e-3",
    "rank 128": "rank 128",
    "rank 256": "rank 256",
    "rank 256, rate 1e-3": "rank 256, taxa 1e-3",
    "rank 512, rate 1e-3": "rank 512, taxa 1e-3",
    "rank 64, B learns 4 times faster": "rank 64, B aprende 4 vezes mais rápido",
    "rank 256, B learns 4 times faster": "rank 256, B aprende 4 vezes mais rápido",
    "rank 64, half the tokens a step": "rank 64, metade dos tokens por passo",
    "rank 256, half the tokens a step": "rank 256, metade dos tokens por passo",
    "rank 128, rate falls only at the end": "rank 128, a taxa só cai no fim",
    "rank 128, records rest once right": "rank 128, registros certos descansam",
    "rank 128, sure tokens count a tenth": "rank 128, tokens certos contam um décimo",
}


@dataclass(frozen=True)
class Words:
    """The words and numbers of one language."""

    language: str

    def __call__(self, text: str, *values: object) -> str:
        """The text, and in it these values."""
        return (text if self.language == "en" else _PORTUGUESE[text]).format(*values)

    def number(self, value: float, *, digits: int = 0) -> str:
        """A number with its separators.

        >>> Words("pt-BR").number(20_000), Words("en").number(4.67, digits=1)
        ('20.000', '4.7')
        """
        text = f"{value:,.{digits}f}"
        return text if self.language == "en" else text.translate(str.maketrans(",.", ".,"))

    def share(self, value: float) -> str:
        """A share as a percentage."""
        return f"{self.number(100 * value, digits=0 if value in (0, 1) else 1)} %"
