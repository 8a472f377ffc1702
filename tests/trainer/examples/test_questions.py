"""The title in a question: any case, quotation marks, apostrophes, blanks, polite words; and titles like questions."""

import time

import pytest

from contract.text.profiles import NATURAL, SEED
from trainer.examples.questions import Asked, asked_about

ENGLISH = [
    ("What is Mog&#x2019;s Kittens?", "Mogs Kittens"),
    ("What is Mog’s Kittens?", "Mogs Kittens"),
    ("what's  Nice for Mice ?", "Nice for Mice"),
    ("What’s Nice for Mice", "Nice for Mice"),
    ("WHAT IS RED KETTLE", "red kettle"),
    ('WHAT IS "RED KETTLE"?', "RED KETTLE"),
    ("what is red kettle", "red kettle"),
    ("What Is Red Kettle?", "Red Kettle"),
    ("  What\u00a0is\u00a0Red\u00a0Kettle\u00a0? ", "Red Kettle"),
    ("What&nbsp;is&nbsp;Red Kettle?", "Red Kettle"),
    ("\ufeffWhat is Red Kettle?\u200b", "Red Kettle"),
    ("What is\nRed Kettle?\n", "Red Kettle"),
    ("What is Red Kettle？", "Red Kettle"),
    ("What is What is Life??", "What is Life"),
    ("What is Life", "Life"),
    ("What is A?", "A"),
    ("What is Who Moved My Cheese?", "Who Moved My Cheese"),
    ("What is The Thing Nobody Talks About?", "The Thing Nobody Talks About"),
    ("What is Red Kettle about?", "Red Kettle"),
    ("What is “Red Kettle”?", "Red Kettle"),
    ("What is &quot;Red Kettle&quot;?", "Red Kettle"),
    ("What is «Red Kettle»?", "Red Kettle"),
    ("What is „Red Kettle“?", "Red Kettle"),
    ("What is ‘Red Kettle’?", "Red Kettle"),
    ("What is `Red Kettle`?", "Red Kettle"),
    ("What is 'Tis the Season?", "Tis the Season"),
    ("What is Rock 'n' Roll Guitar?", "Rock n Roll Guitar"),
    ('What is The "Best" Kettle?', "The Best Kettle"),
    ('What is "Weird Al" Yankovic?', "Weird Al Yankovic"),
    ('What is a 12" x 10" Frame?', "a 12 x 10 Frame"),
    ("Tell me about 'What Is Life'", "What Is Life"),
    ("Tell me about Tell Me About It", "Tell Me About It"),
    ("Tell me about Red Kettle.", "Red Kettle"),
    ("Tell me about Monsters, Inc.", "Monsters, Inc."),
    ("Tell me about Mamma Mia!", "Mamma Mia"),
    ("Tell me about the book The Thread of Halmere", "The Thread of Halmere"),
    ("Tell me about the book of mormon", "the book of mormon"),
    ("Tell me about The Product Design Handbook", "The Product Design Handbook"),
    ('Tell me about the book "What Is Life" by Schrödinger', "What Is Life"),
    ("Tell me about <i>Red Kettle</i>.", "Red Kettle"),
    ("Can you tell me what Red Kettle is?", "Red Kettle"),
    ("Could you please tell me about the book The Thread of Halmere, please?", "The Thread of Halmere"),
    ("Hi, could you describe Red Kettle for me?", "Red Kettle"),
    ("Describe Yes Please", "Yes Please"),
    ("Describe Red Kettle please", "Red Kettle"),
    ("Describe Describe", "Describe"),
    ("I'd like to know more about Red Kettle, thanks", "Red Kettle"),
    ("Red Kettle: description", "Red Kettle"),
    ("Red Kettle: Description", "Red Kettle"),
    ("RED KETTLE - DESCRIPTION", "red kettle"),
    ("Red Kettle - what is this?", "Red Kettle"),
    ("Red Kettle, what is it", "Red Kettle"),
    ("Hello! A customer is asking about Red Kettle. What can I tell them about it?", "Red Kettle"),
    ("Do you have 'Red Kettle'?", "Red Kettle"),
]
PORTUGUESE = [
    ("O que é Nice for Mice?", "Nice for Mice"),
    ("o que e o alquimista", "o alquimista"),
    ("O QUE É CHALEIRA VERMELHA?", "chaleira vermelha"),
    ("O que é «O Alquimista»?", "O Alquimista"),
    ("O que é O Que É Isso, Companheiro?", "O Que É Isso, Companheiro"),
    ("o que e\u0301 Chaleira Vermelha?", "Chaleira Vermelha"),  # the accent as a character of its own
    ("O que é D&#39;Artagnan?", "DArtagnan"),
    ("Me fale sobre Chaleira Vermelha.", "Chaleira Vermelha"),
    ("me fala sobre chaleira vermelha", "chaleira vermelha"),
    ("Olá, me fale sobre a Chaleira Vermelha, por favor.", "a Chaleira Vermelha"),
    ("Bom dia! Você pode me falar sobre Chaleira Vermelha?", "Chaleira Vermelha"),
    ("Descreva o produto Chaleira Vermelha", "Chaleira Vermelha"),
    ("Descreva Chaleira Vermelha por favor", "Chaleira Vermelha"),
    ("Qual é a descrição do produto “Chaleira Vermelha”?", "Chaleira Vermelha"),
    ("qual a descricao de chaleira vermelha", "chaleira vermelha"),
    ("Por favor, me dê a descrição de &quot;Chaleira Vermelha&quot;.", "Chaleira Vermelha"),
    ("Chaleira Vermelha: descrição", "Chaleira Vermelha"),
    ("chaleira vermelha descricao", "chaleira vermelha"),
    ("Chaleira Vermelha, o que é?", "Chaleira Vermelha"),
    ("Você conhece 'Chaleira Vermelha'?", "Chaleira Vermelha"),
    ("Vocês têm Chaleira Vermelha?", "Chaleira Vermelha"),
    ("Gostaria de saber mais sobre o livro O Alquimista, obrigada", "O Alquimista"),
    ("Me fale sobre Irmãos Silva Ltda.", "Irmãos Silva Ltda."),
]
TITLES = [
    ("Nice for Mice", "Nice for Mice"),
    ("10&quot; <b>Vase</b>", "10 Vase"),
    ("What Is Life", "What Is Life"),
    ("Tell Me About It", "Tell Me About It"),
    ("O Que É Isso Companheiro", "O Que É Isso Companheiro"),
    ("Describe", "Describe"),
    ("What is", "What is"),
    ("O que é", "O que é"),
    ("Descrição", "Descrição"),
    ("Whatever Works", "Whatever Works"),
    ("Please Please Me", "Please Please Me"),
    ("Hello Kitty Lamp", "Hello Kitty Lamp"),
    ("Can You Forgive Her?", "Can You Forgive Her"),
    ("Kettle: Description of a Life", "Kettle Description of a Life"),
    ("'Tis the Season", "Tis the Season"),
    ('The "Best" Kettle', "The Best Kettle"),
    ('Caneca "Bom Dia" de Cerâmica', "Caneca Bom Dia de Cerâmica"),
    ("“Red Kettle”", "Red Kettle"),
    ('Have you seen "Red Kettle" anywhere?', "Red Kettle"),
    ('My sister Anna wants "Red Kettle"', "Red Kettle"),
    ("Monsters, Inc.", "Monsters, Inc."),
    ("RED KETTLE", "RED KETTLE"),
    ("???", ""),
    ('""', ""),
    ("", ""),
]


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        *((question, Asked(title, "english")) for question, title in ENGLISH),
        *((question, Asked(title, "portuguese")) for question, title in PORTUGUESE),
        *((text, Asked(title)) for text, title in TITLES),
    ],
)
def test_the_title_is_found_in_a_question_and_cleaned_as_in_training(question: str, asked: Asked) -> None:
    assert asked_about(question, SEED) == asked


def test_the_title_is_cleaned_with_the_profile_of_the_run() -> None:
    assert asked_about("What is Mog&#x2019;s 10&quot; vase?", NATURAL).title == "Mog's 10\" vase"
    assert asked_about("Who Moved My Cheese?", NATURAL).title == "Who Moved My Cheese?"
    assert asked_about('What is "Who Moved My Cheese?"', NATURAL).title == "Who Moved My Cheese?"
    assert asked_about("Tell me about Mamma Mia!", NATURAL).title == "Mamma Mia!"


def test_a_text_that_is_a_trap_for_regular_expressions_takes_no_time() -> None:
    began = time.perf_counter()
    for text in ("what is ", '"', ' "a', "please ", "a - ", "hi, ", "o que é... ", "\u00a0"):
        asked_about((text * 4_000)[:4_000], SEED)
        asked_about((text * 4_000)[:3_990] + " - what is?", SEED)
    assert time.perf_counter() - began < 20  # seconds; a few hundredths each, alone on a machine
    assert asked_about("What is " + "a" * 5_000, SEED).language is None
