"""What is known of a question before its answer, and which source an answer gets."""

from dataclasses import dataclass
from pathlib import Path

from contract.errors import UserError
from tests.trainer.serving.servers import question
from trainer.answers.answerer import load_answerer
from trainer.lookup.catalogue import Found, Source
from trainer.serving.questions import Question, Questions
from trainer.serving.schema import ChatRequest


def source(number: int, text: str) -> Source:
    return Source(f"uid{number}", "Greatest Hits", text, "data", "train/part-00000.parquet", number)


def test_of_several_records_the_one_that_supports_most_is_the_source() -> None:
    texts = ["Twelve songs of the sea, sung by sailors.", "Ten songs of the mountains, sung by goats of the Alps."]
    found = Found(tuple(map(source, range(2), texts)), is_exact=True, num_records=2)
    asked = Question("Greatest Hits", found, (), ())

    answer = "Hear: ten songs of the mountains, sung by goats."
    supported = asked.supported(answer)

    assert supported["best"] == 1
    assert [answer[start:stop] for start, stop in supported["supported"]] == [
        "ten songs of the mountains, sung by goats"
    ]
    assert [texts[1][start:stop] for start, stop in supported["quoted"]] == [
        "Ten songs of the mountains, sung by goats"
    ]
    assert asked.extra()["num_sources"] == 2


@dataclass
class BrokenCatalogue:
    """A catalogue whose shards cannot be read."""

    def find(self, title: str) -> Found:
        raise UserError(f"the shard of {title} is damaged")


def test_without_a_catalogue_that_can_be_read_there_is_an_answer_and_a_note(run: Path) -> None:
    questions = Questions(load_answerer(run), BrokenCatalogue(), max_question=100, max_new_tokens=5)  # type: ignore[arg-type]

    asked = questions.understand(ChatRequest.model_validate(question("What is Tea?")))

    assert len(asked.requests) == 1
    assert asked.extra()["in_catalogue"] is None
    assert "could not be read" in asked.notes[0]
