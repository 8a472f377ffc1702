"""Look-up of titles in a whole catalogue: which are found, how fast, in how much memory; and which words are supported.

The index is made in a process of its own, and all titles of a group are looked up in another, one after the other; none
of these loads torch. Time is that of a look-up with the text read from its shard, in the page cache; `cpu_ms` is the
process's own, for a machine that others use as well.

    python -m bench.lookup --data DATA --absent CATALOGUE.json                       # DATA was prepared by us
    python -m bench.lookup --data DATA --absent CATALOGUE.json --real LINES.json     # and real lines among it

DATA: of `vitrine synth --rows 2248619 --seed 7`. CATALOGUE.json: of `vitrine synth --rows 20000 --seed 8`.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.figures import RESULTS, spread
from bench.lookup.changed_facts import KINDS, changed, mistakes
from bench.lookup.questions import Question, absent, titles_of, typed
from bench.machine import machine, versions
from contract.manifest import read_manifest
from trainer.lookup.records import Records

_ROOT: Final = Path(__file__).parents[2]
_PACKAGES: Final = ("numpy", "pyarrow", "rapidfuzz")
_SHORTEST, _LONGEST = 12, 100  # words of an answer


def main(arguments: list[str]) -> int:
    """Measures, writes the results, prints them."""
    options = parse(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    profile, draw = read_manifest(options.data).text_profile, random.Random(0)
    titles = titles_of(options.data)
    known = set(titles)
    groups = {
        "typos": typed(titles, known, profile=profile, num=options.num, draw=draw),
        "absent": absent(options.absent, known, profile=profile, num=options.num, draw=draw),
    }
    report: dict[str, Any] = {
        "machine": machine(cores=options.cores, memory_is="peak resident memory of the process, mapped files included"),
        "versions": versions(_PACKAGES),
        "titles": len(titles),
    }
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"XDG_CACHE_HOME": folder, "OMP_NUM_THREADS": "1"}
        data = [options.data]
        report["index"] = run(["make", *data], environment)
        report["index"]["mb"] = sum(path.stat().st_size for path in Path(folder).rglob("*.npy")) / 1e6
        for name, questions in groups.items():
            report[name] = judged(questions, asked(questions, data, environment))
        if options.real:
            real = absent(options.real, known, profile=profile, num=10**6, draw=draw)
            report["real absent"] = judged(real, asked(real, data, environment))
            report["real typos"] = real_typos(options, known, Path(folder), environment)
    report["supported"] = supported(options.data, num=options.num_answers, draw=draw)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({name: value for name, value in report.items() if name != "machine"}, indent=1))
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a prepared data set on this machine")
    parser.add_argument(
        "--absent", type=Path, required=True, help="another catalogue, whose titles are not in the data"
    )
    parser.add_argument("--real", type=Path, help="JSON lines of a real catalogue")
    parser.add_argument("--num", type=int, default=1_000, help="titles of each group")
    parser.add_argument("--num-answers", type=int, default=500)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "lookup-2cores.json")
    return parser.parse_args(arguments)


def run(arguments: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    """What a process of bench.lookup.work prints."""
    command = [sys.executable, "-m", "bench.lookup.work", *arguments]
    done = subprocess.run(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def asked(questions: Sequence[Question], data: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    """The answers to these questions, with time and memory."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([question.text for question in questions], file)
        file.flush()
        return run(["ask", file.name, *data], environment)


def judged(questions: Sequence[Question], said: dict[str, Any]) -> dict[str, Any]:
    """Shares of right answers, of all questions and of each kind; milliseconds and memory."""
    pairs = list(zip(questions, said["answers"], strict=True))
    kinds = list(dict.fromkeys(question.kind for question in questions))
    return {
        "questions": len(pairs),
        **_shares(pairs),
        "kinds": {kind: _shares([pair for pair in pairs if pair[0].kind == kind]) for kind in kinds},
        "ms": _times([answer["ms"] for answer in said["answers"]]),
        "cpu_ms": _times([answer["cpu_ms"] for answer in said["answers"]]),
        "open_s": said["open_s"],
        "peak_mb": said["peak_mb"],
        "wrong_titles": [[question.text, answer["found"]] for question, answer in pairs if _is_wrong(question, answer)],
    }


def _times(values: list[float]) -> dict[str, float]:
    return {**spread(values), "p99": sorted(values)[int(0.99 * len(values))]}


def _is_wrong(question: Question, answer: dict[str, Any]) -> bool:
    return answer["found"] is not None and answer["found"] != question.title


def _shares(pairs: Sequence[tuple[Question, dict[str, Any]]]) -> dict[str, float]:
    """Right: the title is found, or rightly called absent. First: found, or the first of those that are offered."""
    right = sum(answer["found"] == question.title for question, answer in pairs)
    first = sum(
        question.title == (answer["found"] or next(iter(answer["nearest"]), None)) for question, answer in pairs
    )
    wrong = sum(_is_wrong(question, answer) for question, answer in pairs)
    return {"right": right / len(pairs), "first": first / len(pairs), "wrong": wrong / len(pairs)}


def real_typos(
    options: argparse.Namespace, known: set[str], folder: Path, environment: dict[str, str]
) -> dict[str, Any]:
    """Typos in real titles, which are a second data set of the same catalogue; each title twice."""
    profile, data = read_manifest(options.data).text_profile, str(folder / "real")
    command = [sys.executable, "-m", "launch.cli", "prepare", "--input", str(options.real), "--output", data]
    subprocess.run([*command, "--text-profile", profile], cwd=_ROOT, env=environment, check=True, capture_output=True)
    titles, draw = titles_of(data), random.Random(1)
    questions = [
        question
        for _ in range(2)
        for question in typed(titles, known | set(titles), profile=profile, num=len(titles), draw=draw)
    ]
    return judged(questions, asked(questions, [options.data, data], environment))


def supported(data: str, *, num: int, draw: random.Random) -> dict[str, Any]:
    """Answers that are descriptions of the data with facts changed: how many have a mistake, of each kind."""
    records = Records(data, read_manifest(data))
    kinds, answers = list(KINDS), list[tuple[str, int, list[str]]]()
    for text in _texts(records, draw):
        if len(answers) == num:
            break
        kind, words = kinds[len(answers) % len(kinds)], text.split()
        answer = changed(" ".join(words[: draw.randint(_SHORTEST, _LONGEST)]), kind, draw)
        if answer is not None:
            answers.append((kind, sum(answer.is_changed), mistakes(answer, text)))
    return {
        "answers": len(answers),
        "changed_words": sum(num_changed for _, num_changed, _ in answers),
        "with_mistakes": {kind: sum(bool(found) for each, _, found in answers if each == kind) for kind in kinds},
    }


def _texts(records: Records, draw: random.Random) -> Iterator[str]:
    while True:
        text = records.read(draw.randrange(records.num))[2]
        if len(text.split()) >= _SHORTEST:
            yield text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
