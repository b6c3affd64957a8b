"""What a text looks like on its surface: the marks that the task head has weights for.

A mark is a stem (the first six bytes of a word), two stems in a row, a stem that opens the first or the last
line, or a shape: a length, a share of digits, a question mark, a code fence, a cue that was heard.
Read are the ends of a text only, so the work is bounded whatever a stranger sends. It knows nothing of
requests, of tasks' meaning or of weights.
"""

import re
from collections.abc import Hashable, Iterable
from itertools import pairwise, repeat
from string import ascii_lowercase
from typing import Final

HEAD: Final = 1_200
TAIL: Final = 400
"""Characters of either end in which shapes are counted."""

WHOLE: Final = 480
"""Characters up to which all words of a text are read."""

FIRST: Final = 160
LAST: Final = 160
"""Of a longer text, characters at its beginning, and from where its last line begins or, having but one, at
its end: an instruction stands before or after its material, and the material says more of itself than of the
task."""

STEM: Final = 6
OPENING: Final = 5
"""Words that open a line."""

OPENS: Final = b"^"
"""What a stem that opens a line is paired with."""

_WORD_BYTES: Final = frozenset(ascii_lowercase.encode()) | frozenset(range(128, 256))
_LETTERS: Final = bytes(byte if byte in _WORD_BYTES else 32 for byte in range(256))
_DIGITS: Final = b"0123456789"
_NOT_DIGITS: Final = bytes(byte for byte in range(256) if byte not in _DIGITS)

_SIGNS: Final = (
    ("?", "#has ?"),
    ("%", "#has %"),
    ('"', "#has quote"),
    ("```", "#has fence"),
    ("###", "#has heading"),
    ("</", "#has tag"),
    ("{", "#has brace"),
    ("()", "#has call"),
    ("_", "#has underscore"),
    ("=", "#has ="),
    ("->", "#has arrow"),
    ("...", "#has ellipsis"),
    ("!", "#has !"),
    ("\n\n", "#has paragraphs"),
    ("\n- ", "#has bullets"),
    ("\\", "#has backslash"),
    (";\n", "#has statement"),
    ("$", "#has $"),
    ("@", "#has @"),
)
"""Signs that stand anywhere in a text, and their marks."""

_NAME: Final = re.compile(r"[A-Z][a-z]{2,15}")
_OPTIONS: Final = re.compile(r"\n {0,8}\(?[A-J1-9][.):] ")
"""Where a question's options begin; sentences and names are counted before them."""

_LENGTHS: Final = tuple(f"#length {bits}" for bits in range(14))
_LINES: Final = tuple(f"#lines {bits}" for bits in range(7))
_SHARES: Final = tuple(f"#digits {share}" for share in range(6))
_NUMBERS: Final = tuple(f"#numerals {bits}" for bits in range(7))
_SENTENCES: Final = tuple(f"#sentences {count}" for count in range(6))
_FOREIGN: Final = tuple(f"#beyond ascii {share}" for share in range(6))


def ends(text: str) -> str:
    """Head and tail of a text, all of it where it is short."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def stems(text: str) -> list[bytes]:
    """First bytes of each word in lower case; letters outside ASCII are their UTF-8, lone surrogates none."""
    return [word[:STEM] for word in text.lower().encode("utf-8", "replace").translate(_LETTERS).split()]


def marks(text: str, heard: Iterable[str]) -> list[Hashable]:
    """Marks of a text, given the cues that were heard in it; one that is found twice may stand twice."""
    text = ends(text)
    bare = text.rstrip()
    last = bare.rfind("\n") + 1
    tail = bare[last : last + LAST]
    if len(bare) <= WHOLE:
        words = stems(bare)
    elif last:
        words = stems(f"{bare[:FIRST]}\n{tail}")
    else:
        words = stems(f"{bare[:FIRST]} {bare[-LAST:]}")
    found: list[Hashable] = [*words, *pairwise(words), *shapes(bare)]
    found += zip(repeat(OPENS), words[:OPENING], strict=False)
    if last:
        found += zip(repeat(OPENS), stems(tail)[:OPENING], strict=False)
    for task in heard:
        found.append(f"#cue {task}")
    return found


def shapes(text: str) -> list[str]:
    """Marks of a text's signs, lengths and shares."""
    found = [mark for sign, mark in _SIGNS if sign in text]
    size = len(text)
    found.append(_LENGTHS[min(size.bit_length(), 13)])
    found.append(_LINES[min(text.count("\n").bit_length(), 6)])
    if text.endswith("?"):
        found.append("#ends ?")
    if text.endswith((":", ".", "!")):
        found.append("#ends " + text[-1])
    plain = text.encode("ascii", "replace")
    digits = len(plain.translate(None, _NOT_DIGITS))
    found.append(_NUMBERS[min(digits.bit_length(), 6)])
    found.append(_SHARES[min(-(-digits * 25 // max(size, 1)), 5)])
    if not text.isascii():
        beyond = len(text.encode("utf-8", "replace")) - size
        found.append(_FOREIGN[min(1 + beyond * 5 // size, 5)])
    options = _OPTIONS.search(text) if "\n" in text else None
    if options is not None:
        found.append("#has options")
        text = text[: options.start()].rstrip()
    sentences = text.count(". ") + text.count(".\n")
    found.append(_SENTENCES[min(sentences, 5)])
    if text.endswith("?"):
        found.append("#asks")
        if sentences:
            found.append("#story with numerals" if digits else "#story")
    names = _NAME.findall(text[:WHOLE])
    if len(names) > len(set(names)):
        found.append("#names again")
    return found
