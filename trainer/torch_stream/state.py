"""The state of a data set as JSON, and the states of all ranks joined into one."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from contract.errors import UserError
from trainer.stream.cursor import Cursor, LanePosition, Natural, parse, to_json
from trainer.torch_stream.workers import furthest

_FORMAT: Final = 1


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The cursor of one rank, or of one of its workers, and the stream that it belongs to."""

    format: Literal[1] = _FORMAT
    identity: Mapping[str, Any]
    cursor: Cursor
    records_before: Natural  # of the epoch, over all ranks, at the cursor that this rank was put to
    rank: tuple[Natural, Natural]  # its index, the number of ranks
    worker: tuple[Natural, Natural, Natural] | None  # its index, the number of workers, the pack that turns count from

    def __post_init__(self) -> None:
        """ValueError where an index is not below the number of ranks or workers."""
        for name, part in (("rank", self.rank), ("worker", self.worker)):
            if part and part[0] >= part[1]:
                raise ValueError(f"Expected `{name}` below {part[1]}, got {part[0]}")

    @staticmethod
    def from_json(document: Any) -> "State":
        """The state that this JSON is; UserError names the first part that is wrong."""
        found = document.get("format") if isinstance(document, Mapping) else None
        if found != _FORMAT:
            raise UserError(
                f"a state of the stream has format {found!r}, expected {_FORMAT}: it is of another version, or not what"
                " state_dict() gave"
            )
        return parse(document, State, name="a state of the stream is not what state_dict() gave")


def merge_states(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The states of all ranks after the same step, as one state that any number of ranks can resume."""
    ranks = [State.from_json(state) for state in states]
    cursors = {(state.cursor.epoch, state.cursor.packs) for state in ranks}
    found, whole = sorted(state.rank for state in ranks), [(rank, len(ranks)) for rank in range(len(ranks))]
    is_one_run = all(
        (state.identity, state.records_before) == (ranks[0].identity, ranks[0].records_before) for state in ranks
    )
    if not ranks or found != whole or len(cursors) > 1 or not is_one_run or ranks[0].worker:
        raise UserError(
            f"states of (rank, ranks) {found} at (epoch, pack) {sorted(cursors)}, expected those of all ranks of one"
            " run after the same step"
        )
    before = ranks[0].records_before
    lanes: dict[int, LanePosition] = {}
    for state in ranks:
        lanes = furthest(lanes, state.cursor.lanes)
    records = before + sum(state.cursor.records - before for state in ranks)
    cursor = Cursor(ranks[0].cursor.epoch, ranks[0].cursor.packs, records, lanes)
    return to_json(State(identity=ranks[0].identity, cursor=cursor, records_before=records, rank=(0, 1), worker=None))
