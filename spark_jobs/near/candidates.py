"""From equal bands to the sets of records that have to be compared, by connected components."""

import sys
from dataclasses import dataclass
from typing import Final

import numpy as np

MAX_COMPONENT: Final = 100_000  # records that a task compares at most
RECORDS_PER_TASK: Final = 20_000  # a task holds about 10 kB for a record of 110 words


@dataclass(frozen=True)
class Candidates:
    """Records that share a band with another one, in order of their numbers."""

    numbers: np.ndarray
    components: np.ndarray  # a record is compared with the others of its component
    tasks: np.ndarray  # the task that compares each record

    @property
    def num_tasks(self) -> int:
        return int(self.tasks.max(initial=-1)) + 1


def plan_candidates(
    links: np.ndarray, *, max_component: int = MAX_COMPONENT, records_per_task: int = RECORDS_PER_TASK
) -> Candidates:
    """The records to compare, and the task of each: all records that the links [2, links] connect go to one task.

    A component of more than `max_component` records is cut, in the order of their numbers. Near duplicates on two sides
    of a cut are not found; a line on stderr says so. Memory: some 50 bytes a link.
    """
    numbers = sorted_unique(links.ravel())
    labels = connect(len(numbers), np.searchsorted(numbers, links))
    order = np.argsort(labels, kind="stable")
    positions = np.arange(len(numbers))
    firsts = np.maximum.accumulate(np.where(np.diff(labels[order], prepend=-1) > 0, positions, 0))
    pieces = firsts + (positions - firsts) // max_component * max_component
    if num_cut := len(np.unique(firsts[pieces > firsts])):
        print(
            f"near duplicates: {num_cut} sets of over {max_component} records that may be alike were compared in parts",
            file=sys.stderr,
        )
    _, tasks = np.unique(pieces // records_per_task, return_inverse=True)
    back = np.argsort(order)
    return Candidates(numbers, components=numbers[order][pieces][back], tasks=tasks[back])


def link_equal(values: np.ndarray, records: np.ndarray) -> np.ndarray:
    """Links [2, links] that connect all records of equal values; there are fewer links than records."""
    order = np.argsort(values)
    values, records = values[order], records[order]
    equal = np.flatnonzero(values[1:] == values[:-1])
    links = np.stack([records[equal], records[equal + 1]])
    linked = sorted_unique(links.ravel())
    labels = connect(len(linked), np.searchsorted(linked, links))
    others = np.flatnonzero(labels != np.arange(len(labels)))
    return np.stack([linked[labels[others]], linked[others]])


def connect(num_records: int, links: np.ndarray) -> np.ndarray:
    """The label of each record: the lowest record that the links [2, links] connect it with, or itself.

    >>> connect(5, np.array([[4, 1], [2, 4]]))
    array([0, 1, 1, 3, 1])
    """
    labels = np.arange(num_records)
    while links.shape[1]:
        low, high = links.min(axis=0), links.max(axis=0)
        np.minimum.at(labels, high, low)
        while not np.array_equal(labels[labels], labels):
            labels = labels[labels]
        links = labels[links]
        links = links[:, links[0] != links[1]]
    return labels


def sorted_unique(values: np.ndarray) -> np.ndarray:
    """np.unique for numbers from 0 on, in a tenth of the time: numpy 2.3 and later hash before they sort."""
    values = np.sort(values)
    return values[np.diff(values, prepend=-1) > 0]
