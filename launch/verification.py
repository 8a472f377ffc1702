"""`vitrine verify`: checks every law of a prepared data set and prints what breaks one."""

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from command.progress import ProgressBar
from command.settings import check_settings, setting
from command.terminal import printable
from contract.verify.findings import LAWS, Findings

if TYPE_CHECKING:
    from contract.verify.data_set import Report


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """A data set to check."""

    data: str = setting(help="folder or URL of a prepared data set")
    num_processes: int | None = setting(
        None, help="number of processes that read its files (default: one a core)", least=1
    )
    json: bool = setting(False, help="print the outcome as JSON")

    def __post_init__(self) -> None:
        """Checks ranges; raises UserError."""
        check_settings(self)


def run(config: VerifyConfig) -> int:
    """Exit code 0 if all laws hold, 1 if not."""
    from contract.verify.data_set import verify  # takes a third of the time in which the command line starts

    progress = ProgressBar("verify")
    report = verify(config.data, num_processes=config.num_processes or os.cpu_count() or 1, on_progress=progress.show)
    progress.done(f"{report.num_files:,} files read")
    print(_as_json(report) if config.json else "\n".join(map(printable, _lines(report))))
    return 0 if report.is_sound else 1


def _lines(report: "Report") -> list[str]:
    name = f"data set {report.manifest.dataset_id}" if report.manifest else "the data set"
    rows = f"{report.num_records:,} records and {report.num_rejected:,} rejected lines"
    broken = report.findings.counts
    notes = [f"note: {note}" for note in report.notes]
    if report.is_sound:
        return [
            f"{report.root}: {name} is sound: {rows} in {report.num_files:,} files keep all {len(LAWS)} laws",
            *notes,
        ]
    lines = [line for law in LAWS if broken[law] for line in ("", *_lines_of_law(law, report.findings))]
    return [
        f"{report.root}: {name} is NOT sound, {len(broken)} of {len(LAWS)} laws broken; {rows} read",
        *lines,
        *notes,
    ]


def _lines_of_law(law: str, findings: Findings) -> list[str]:
    examples = [example for example in findings.examples if example.law == law]
    lines = [f"{law}: {LAWS[law]} ({_times(findings.counts[law])} broken)"]
    for each in examples:
        lines += [f"  {each.where}", f"    found     {each.found}", f"    expected  {each.expected}"]
    more = findings.counts[law] - len(examples)
    return [*lines, f"  … and {more:,} more"] if more else lines


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _as_json(report: "Report") -> str:
    document = {
        "data": report.root,
        "dataset_id": report.manifest.dataset_id if report.manifest else None,
        "is_sound": report.is_sound,
        "files": report.num_files,
        "records": report.num_records,
        "rejected": report.num_rejected,
        "broken": report.findings.counts,
        "examples": [asdict(example) for example in report.findings.examples],
        "notes": report.notes,
    }
    return json.dumps(document, indent=1)
