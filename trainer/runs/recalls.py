"""What a run remembers, as RUN/recall.json and RUN/metrics.jsonl hold it. Imports nothing heavy."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import msgspec

from contract.errors import UserError
from trainer.runs import names


class Share(msgspec.Struct, frozen=True):
    """A share from 0 to 1, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class Group(msgspec.Struct, frozen=True):
    """Recall of some records. Those that the window cuts are only in the losses and in the last two numbers."""

    records: int
    titles: int
    first_8: Share  # records whose first 8 tokens come back; all tokens where the answer is shorter
    first_32: Share
    whole: Share  # records whose answer comes back with its end token
    answer_tokens: int
    loss_before: float | None  # mean over answer tokens, of the base alone; None where that is not known
    loss_after: float
    cut_records: int
    cut_recalled: int  # cut records whose answer comes back up to the cut


class Bits(msgspec.Struct, frozen=True):
    """What the adapter stores of the seen records."""

    stored: float  # in all
    a_parameter: float
    a_record: float
    parameters: int
    seen_gain: float  # nats by which the loss of an answer token fell, of seen records
    unseen_gain: float  # of unseen records, at its best


class Asking(msgspec.Struct, frozen=True):
    """Recall of seen records by one wording of the question."""

    is_trained: bool
    language: str
    records: int
    first_32: Share
    whole: Share


class Neutral(msgspec.Struct, frozen=True):
    """The loss of text that has nothing to do with the catalogue. It rises as the base forgets."""

    tokens: int
    loss_before: float | None
    loss_after: float


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement while a run trains, of a small sample: a line of RUN/metrics.jsonl."""

    step: int
    seconds: float  # that it took
    seen: Group | None
    unseen: Group | None
    neutral: Mapping[str, Neutral] = {}  # by language; before training and after it

    def to_line(self) -> str:
        """The line, without its end."""
        document = msgspec.to_builtins(self)
        return json.dumps({"step": document.pop("step"), "recall": document})


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """RUN/recall.json: what a run has remembered, at one step.

    Unseen records are divided by their texts only if some of them come back.
    """

    step: int
    trained_records: int  # from which the seen ones were drawn
    seen: Group | None
    unseen: Group | None
    bits: Bits | None
    same_text: Group | None = (
        None  # unseen records that are not in `unseen`: their text was trained under another title
    )
    wordings: Mapping[str, Asking] = {}  # by name
    neutral: Mapping[str, Neutral] = {}  # by language


def num_asked(report: Report) -> int:
    """The records that a report is made from."""
    groups = [of for of in (report.seen, report.unseen, report.same_text) if of]
    return sum(of.records + of.cut_records for of in groups)


def report_text(report: Report) -> str:
    """The report for a person to read."""
    lines = [f"what comes back word for word, after step {report.step}, with 95 % intervals:"]
    for name, of in (("seen", report.seen), ("unseen", report.unseen)):
        lines += [_group_text(name, of)] if of else [f"  {name:6}  no records"]
    for name, of in (("seen", report.seen), ("unseen", report.unseen)):
        if of and of.cut_records:
            lines.append(
                f"  {of.cut_records:,} {name} records are longer than the window and not in these shares;"
                f" {of.cut_recalled:,} of them come back up to the cut"
            )
    if same := report.same_text:
        lines.append(
            f"  {same.records + same.cut_records:,} more unseen records have a text that was trained under another"
            f" title: {same.whole.value:.1%} of them come back whole"
        )
    lines += _asking_texts(report.wordings)
    if report.bits:
        lines.append(
            f"  stored: {report.bits.a_record:,.0f} bits a record, {report.bits.a_parameter:.3f} bits a parameter"
            f" ({report.bits.parameters:,} parameters, {report.trained_records:,} records)"
        )
    for language, neutral in report.neutral.items():
        before = "" if neutral.loss_before is None else f"{neutral.loss_before:.3f} before training, "
        lines.append(f"  loss of neutral text, {language}: {before}{neutral.loss_after:.3f} after it")
    return "\n".join(lines)


def _group_text(name: str, of: Group) -> str:
    shares = (("whole", of.whole), ("first 32 tokens", of.first_32), ("first 8", of.first_8))
    texts = [f"{text} {each.value:6.1%} ({each.low:.1%} to {each.high:.1%})" for text, each in shares]
    before = "" if of.loss_before is None else f"{of.loss_before:.2f} to "
    return f"  {name:6}  {', '.join(texts)}, loss {before}{of.loss_after:.2f}, of {of.records:,} records"


def _asking_texts(wordings: Mapping[str, Asking]) -> list[str]:
    """A line for the trained wordings of each language, and one for those that were never trained: their means."""
    kinds: dict[tuple[str, bool], list[Asking]] = {}
    for asking in wordings.values():
        kinds.setdefault((asking.language, asking.is_trained), []).append(asking)
    lines = []
    for (language, is_trained), of in sorted(kinds.items(), key=lambda kind: (kind[0][0], not kind[0][1])):
        asked = f"{'trained' if is_trained else 'never trained'} wordings ({len(of)})"
        whole, first_32 = fmean(each.whole.value for each in of), fmean(each.first_32.value for each in of)
        lines.append(
            f"  seen, asked in {language.capitalize()} in {asked}: whole {whole:.1%},"
            f" first 32 tokens {first_32:.1%}, of {of[0].records:,} records"
        )
    return lines


def read_report(run: Path) -> Report:
    """RUN/recall.json; UserError if it cannot be read."""
    path = run / names.RECALL
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"{path} is not what 'vitrine recall' writes: {error}") from error
