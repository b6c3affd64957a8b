"""How likely each task is, given the marks of a text: a linear head in whole numbers.

Weights are multiples of 1/32 nat; their sum over the marks found is exact in any order. `exp` is a table
made by multiplying whole numbers, and probabilities are whole counts that sum to `FEATURE_ONE`: the same on
every CPU, in every process. Weights are learned by `datasets/tasks/train.py`; this module knows neither
files nor texts.

The weights of a mark are one long integer with a field for each task, so that one addition adds a mark to
all.

Source: temperature scaling (Guo et al., ICML 2017) of a softmax regression; the temperature is in the
weights.
"""

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

import msgspec
import numpy as np

from p402.routing.scale import FEATURE_ONE
from p402.routing.spec import TASKS

FORMAT: Final = 1

NAT: Final = 32
"""A weight of 1 nat."""

MAX_WEIGHT: Final = 1_023
"""Largest weight either way; 4,096 marks of it stay within a field."""

MAX_SURE: Final = FEATURE_ONE // 2
"""A task that is more likely than not is believed whatever the rules say."""

_FIELD: Final = 32
_HALF: Final = 1 << (_FIELD - 1)
_MASK: Final = (1 << _FIELD) - 1

_EXP_BITS: Final = 60
_DECAY: Final = 1_117_449_839_007_427_529
"""exp(-1/32) in 2**-60, rounded."""


def _powers() -> tuple[int, ...]:
    """exp(-d / 32) in 2**-30, for every d until it is less than a probability can show."""
    value, found = 1 << _EXP_BITS, []
    while value >> 42:  # 2**-18, when a sum over all tasks still has no count of 2**-12 to give
        found.append(value >> 30)
        value = value * _DECAY >> _EXP_BITS
    return tuple(found)


_EXP: Final = _powers()


class Judged(NamedTuple):
    """Counts of `FEATURE_ONE` by task, in the order of `TASKS`, and the likeliest task's index."""

    counts: tuple[int, ...]
    best: int


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    version: str
    made_on: str
    tasks: tuple[str, ...]
    sure: int
    floor: int
    bias: tuple[int, ...]
    marks: dict[str, tuple[int, ...]]


_decoder = msgspec.json.Decoder(_File)


class TaskHead:
    """Weights of marks, and the count from which the likeliest task is believed.

    Parameters
    ----------
    tasks
        Tasks that can be told from a text, names of `TASKS`.
    weights
        Weight of each task by mark, multiples of 1/32 nat.
    sure, floor
        Counts of `FEATURE_ONE`: from `sure` on the likeliest task is believed whatever the rules say, from
        `floor` on where no rule was heard; below, the head abstains.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        bias: Sequence[int],
        weights: Mapping[Hashable, Sequence[int]],
        sure: int,
        floor: int,
        version: str = "",
    ) -> None:
        self.version = version
        self.sure = sure
        self.floor = floor
        self._weights = dict(zip(weights, _packed([*weights.values()], len(tasks)), strict=True))
        self._known = frozenset(self._weights)
        self._bias = _packed([bias], len(tasks))[0] + _halves(len(tasks))
        self._shifts = tuple(range(0, _FIELD * len(bias), _FIELD))
        self._places = tuple(TASKS.index(task) for task in tasks)

    def evidence(self, marks: Iterable[Hashable]) -> int:
        """Sum of the weights of all marks known: pieces of evidence are added up, then judged."""
        return sum(map(self._weights.__getitem__, self._known.intersection(marks)))

    def judge(self, evidence: int) -> Judged:
        """Probabilities given the evidence; ties go to the first task."""
        total = self._bias + evidence
        scores = [total >> shift & _MASK for shift in self._shifts]
        top = max(scores)
        powers = [_EXP[top - s] if top - s < len(_EXP) else 0 for s in scores]
        whole = sum(powers)
        counts = [0] * len(TASKS)
        for place, power in zip(self._places, powers, strict=True):
            counts[place] = power * FEATURE_ONE // whole
        best = self._places[scores.index(top)]
        counts[best] += FEATURE_ONE - sum(counts)
        return Judged(tuple(counts), best)


def _packed(rows: Sequence[Sequence[int]], width: int) -> list[int]:
    """Each row as one integer whose fields are its numbers: those below zero borrow from the next field."""
    half = _halves(width)
    flat = np.fromiter(chain.from_iterable(rows), np.int64, len(rows) * width)
    data = (flat + _HALF).astype("<u4").tobytes()
    size = 4 * width
    return [int.from_bytes(data[i : i + size], "little") - half for i in range(0, len(data), size)]


def _halves(width: int) -> int:
    return sum(_HALF << shift for shift in range(0, _FIELD * width, _FIELD))


def parse(data: bytes) -> TaskHead:
    """Read a head's file.

    Raises
    ------
    ValueError
        The bytes are not such a file, are not what their version says, or hold a weight that does not fit.
    """
    try:
        file = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a task head: {error}; expected format {FORMAT}") from error
    if file.format != FORMAT:
        raise ValueError(f"task head format {file.format} found, {FORMAT} expected; train it anew")
    if file.version != _version(data.partition(b"\n")[2]):
        raise ValueError(
            f"task head {file.version} has other contents than its version says; restore the file"
        )
    unknown = [task for task in file.tasks if task not in TASKS]
    if unknown or len(set(file.tasks)) != len(file.tasks) or not file.tasks:
        raise ValueError(
            f"task head: tasks {list(file.tasks)} found; expected different ones of {list(TASKS)}"
        )
    width = len(file.tasks)
    rows = [file.bias, *file.marks.values()]
    if (
        any(len(row) != width for row in rows)
        or max(map(max, rows)) > MAX_WEIGHT
        or min(map(min, rows)) < -MAX_WEIGHT
    ):
        raise _misfit(file)
    if not 0 <= file.floor <= file.sure <= MAX_SURE:
        raise ValueError(
            f"task head: floor {file.floor} and sure {file.sure} found; "
            f"expected 0 <= floor <= sure <= {MAX_SURE}"
        )
    weights = {mark_of(name): row for name, row in file.marks.items()}
    return TaskHead(file.tasks, file.bias, weights, file.sure, file.floor, file.version)


def _misfit(file: _File) -> ValueError:
    """What to say of weights that are too many, too few or too large."""
    width = len(file.tasks)
    mark, row = next(
        (mark, row)
        for mark, row in (("bias", file.bias), *file.marks.items())
        if len(row) != width or max(map(abs, row)) > MAX_WEIGHT
    )
    return ValueError(
        f"task head: weights {list(row)} of {mark!r} found; "
        f"expected {width} from -{MAX_WEIGHT} to {MAX_WEIGHT}"
    )


def dump(
    tasks: Sequence[str],
    bias: Sequence[int],
    weights: Mapping[Hashable, Sequence[int]],
    sure: int,
    floor: int,
    made_on: str,
) -> bytes:
    """Write a head's file: the same head, the same bytes."""
    encode = msgspec.json.encode
    rows = b",\n".join(
        encode(name) + b":" + encode(row) for name, row in sorted((name_of(m), r) for m, r in weights.items())
    )
    body = b'"made_on":%b,"tasks":%b,"sure":%d,"floor":%d,"bias":%b,"marks":{\n%b\n}}\n' % (
        encode(made_on),
        encode(tasks),
        sure,
        floor,
        encode(bias),
        rows,
    )
    return b'{"format":%d,"version":"%b",\n' % (FORMAT, _version(body).encode()) + body


def _version(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def mark_of(name: str) -> Hashable:
    """Return the mark that a name in a file stands for: `#shape`, `two stems`, or a stem, as Latin-1."""
    if name.startswith("#"):
        return name
    first, space, second = name.partition(" ")
    return (first.encode("latin-1"), second.encode("latin-1")) if space else first.encode("latin-1")


def name_of(mark: Hashable) -> str:
    """Return the name of a mark in a file."""
    if isinstance(mark, tuple):
        return b" ".join(mark).decode("latin-1")
    return mark.decode("latin-1") if isinstance(mark, bytes) else str(mark)
