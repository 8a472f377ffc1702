"""A run in parts: titles of several adapters, and the base, are answered at the same time, each as if alone."""

import asyncio
import shutil
from pathlib import Path

from contract.keys import part_of
from tests.trainer.answers.test_adapters import PARTS, TITLES, _run, in_parts  # noqa: F401  # a fixture: the run of five parts
from tests.trainer.serving.servers import question
from tests.trainer.serving.test_engine import started, texts
from trainer.runs import names
from trainer.serving.engine import UnavailableError
from trainer.serving.questions import Questions
from trainer.serving.schema import ChatRequest

MODELS = ("vitrine", "vitrine-before")


def test_titles_of_several_parts_and_the_base_share_a_batch(run: Path, micro_base: Path) -> None:
    answerer = in_parts(run, micro_base, most=3)
    questions = Questions(answerer, None, max_question=100, max_new_tokens=8)
    bodies = [question(f"What is {title}?", model=model) for title in TITLES for model in MODELS]
    requests = [questions.understand(ChatRequest.model_validate(body)).requests for body in bodies]
    assert len({request.adapter for (request,) in requests}) > 4

    async def run_all() -> list[list[str]]:
        engine = await started(answerer.batch(num_slots=8), most_waiting=100)  # type: ignore[arg-type]
        tickets = [engine.submit(each) for each in requests]
        found = await asyncio.gather(*map(texts, tickets))
        engine.close()
        engine.join(60)
        return found

    found = [text.strip() for (text,) in asyncio.run(run_all())]

    alone = in_parts(run, micro_base, most=5)
    expected = [
        alone.answer(title, max_new_tokens=8, is_before=model == "vitrine-before")
        for title in TITLES
        for model in MODELS
    ]
    assert found == expected


def test_a_part_whose_adapter_cannot_be_loaded_is_an_error_for_its_titles_alone(
    run: Path, micro_base: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    (broken / names.part_name(2) / names.ADAPTER / "adapter_model.safetensors").write_bytes(b"no tensors")
    (broken / names.part_name(3) / names.ADAPTER / "adapter_model.safetensors").unlink()
    answerer, whole = in_parts(broken, micro_base, most=3), in_parts(run, micro_base, most=5)
    requests = [answerer.request(title, max_new_tokens=8) for title in TITLES]

    async def run_all() -> list[list[str] | BaseException]:
        engine = await started(answerer.batch(num_slots=4), most_waiting=100)  # type: ignore[arg-type]
        found = await asyncio.gather(*(texts(engine.submit([each])) for each in requests), return_exceptions=True)
        engine.close()
        engine.join(60)
        assert engine.failure is None
        return found

    for title, found in zip(TITLES, asyncio.run(run_all()), strict=True):
        if part_of(title, PARTS) in (2, 3):
            assert isinstance(found, UnavailableError)
        else:
            assert found[0].strip() == whole.answer(title, max_new_tokens=8)
