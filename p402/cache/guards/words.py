"""What a prompt says once its wording is set aside: one form, equal for prompts that differ harmlessly only.

A text falls into prose, material (what follows a colon or a first line) and code. Prose is brought to one
spelling of numbers, contractions, politeness and question frames; material counts word by word as written;
code and quotations count to the last character. It knows nothing of other texts.

Every step is linear in the text, since the text is a stranger's: each pattern has one way to match, or
repeats a bounded number of times, or reads the head of the text only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from p402.cache.guards import frames
from p402.cache.guards.lexicon import (
    APART,
    ARTICLES,
    BEFORE_SMALL,
    BRANDS,
    CASED,
    COUNTED,
    COUNTING,
    DIGITS,
    ENDINGS,
    ENGLISH,
    EXACT,
    IS_AFTER,
    MACHINES,
    SAME,
    SIGNS,
    SMALL,
    TIMES,
    bag,
)

LONGEST: Final = 8_192
"""Characters up to which a text is read; a longer one agrees only with itself."""

KEPT: Final = 128
"""Texts whose reading is remembered: the one asked and those it is compared with."""

_ALIKE: Final = str.maketrans(
    dict.fromkeys("\u2018\u2019\u02bc", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"')
    | dict.fromkeys("\u2010\u2011\u2013\u2212", "-")
)
"""Signs that keyboards exchange."""

_SPAN: Final = re.compile(r"""`[^`\n]*`|"[^"\n]*"|(?<![^\s(\[{:=,])'[^'\n]*'(?!\w)""")
"""Quoted text. No alternative can cross its own delimiter, so a failed one is scanned once."""

_SPOKEN: Final = re.compile(r"""["'][^\W_][\w ,.!?'-]+["']""")
"""A quotation of words: there single and double quotes say the same."""

_BLOCK: Final = re.compile(r":[ \t]*\n[ \t]")
"""A line that ends with a colon and an indented one after it: code whose layout means something."""

_COLON: Final = re.compile(r":(?=\s)")
_CODE_SIGNS: Final = ("()", "{", "}", ";\n", "=>", "->", "==", "::", "</", "def ", "#include")
"""Signs of a text in which capitals distinguish names."""

_SHAPE: Final = re.compile(r"([$€£¥]?)(-?[0-9][0-9.,]*)([^\W\d_]{0,14}|%|°[A-Za-z]?)")
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3}){1,6}(?:\.[0-9]{1,20})?")
_SUM: Final = re.compile(r"[0-9.,+\-*/^=%<>()x\u00d7\u00f7!|&~\[\]]+")
_PARTS: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[^\W\d_]+|[^\w\s]|[\w]")
_STOPS: Final = ",;.!?:…"


@dataclass(frozen=True, slots=True)
class Words:
    """A text as the guards compare it.

    Attributes
    ----------
    plain
        The text with whitespace, the case of its first word and its last stops set aside, in pieces.
    form
        What it says, in order.
    named
        Of `form`, what looks like a name: quotations, identifiers, capitals within a sentence.
    """

    plain: tuple[str, ...]
    form: tuple[str, ...]
    named: frozenset[str]


@lru_cache(maxsize=KEPT)
def read(text: str) -> Words:
    """Read a text; one that is longer than `LONGEST` is its own form."""
    text = text.replace("\0", "\ufffd")
    if not text.isascii():
        text = text.translate(_ALIKE)
    bare = _trimmed(text)
    if len(bare) > LONGEST:
        whole = _first_folded(" ".join(bare.split()))
        return Words((whole,), (whole,), frozenset())
    cut = _code_at(bare)
    quoted: list[str] = []

    def hide(found: re.Match[str]) -> str:
        said = found[0]
        plainly = said[0] != "`" and not technical and _SPOKEN.fullmatch(said)
        quoted.append(('"' if plainly else said[0]) + said[1:-1])
        return f" \0{len(quoted) - 1} "

    prose, code = bare[:cut], bare[cut:]
    technical = any(sign in bare for sign in _CODE_SIGNS) or not MACHINES.isdisjoint(
        word.strip(_STOPS) for word in prose.lower().split()
    )
    hidden = _SPAN.sub(hide, prose).strip() if any(mark in prose for mark in "`\"'") else prose.strip()
    plain = (_first_folded(" ".join(hidden.split())), *quoted, code)
    at = _material_at(hidden)
    lead, material = hidden[:at].split(), hidden[at + 1 :].split()
    named: set[str] = set(quoted)
    form = _form(lead, any(sign in bare for sign in _CODE_SIGNS), named)
    if material:
        form += [":", *material]
    form = [quoted[int(token[1:])] if token[0] == "\0" else token for token in form]
    if code or not form:
        form.append(code or plain[0])
    return Words(plain, tuple(form), frozenset(named))


def _trimmed(text: str) -> str:
    """Without the stops it ends with, unless there is nothing else; the sign of a factorial is none."""
    bare = text.strip()
    end = _end(bare)
    if end and bare[end - 1].isspace():
        rest = bare[:end].rstrip()
        asks = not bare[end:].strip("?!") and rest[-12:].split()[-1].lower() not in _HANGING
        return rest if asks else bare
    if bare[end:] and not _META.isdisjoint(bare[bare.rfind(" ") + 1 : end]) and _patterned(bare):
        return bare
    return bare[:end] or bare


def _end(word: str) -> int:
    """Where the stops begin that a word ends with; a factorial's sign and the dots of a path are none."""
    end = len(word)
    while end and word[end - 1] in _STOPS:
        if word[end - 1] == "!" and end > 1 and (word[end - 2].isdigit() or word[end - 2] == ")"):
            break
        end -= 1
    return len(word) if end and word[end - 1] in _JOINS else end


_JOINS: Final = "/\\~|&=<>^*@"
_META: Final = frozenset("*+^$|[](){}\\")
_REGEX: Final = re.compile("regex|regular expression|glob")
_HANGING: Final = bag(
    "and or vs versus with by of than between the a an is does operator character sign symbol"
)
"""Words that a stop stands after as a thing spoken of: the difference between ; and :."""


def _first_folded(text: str) -> str:
    first, space, rest = text.partition(" ")
    plain = first[: _end(first)].replace("'", "").replace("-", "")
    return first.lower() + space + rest if plain.isalpha() else text


def _code_at(text: str) -> int:
    """Where code begins; the text's length where there is none."""
    fence = text.find("```")
    at = len(text) if fence < 0 else fence
    block = _BLOCK.search(text, 0, at)
    return block.start() if block else at


def _material_at(text: str) -> int:
    """Where prose ends: at the first colon that a space follows, or the first end of a line."""
    ends = [found.start()] if (found := _COLON.search(text)) else []
    ends += [at for at in (text.find("\n"), text.find("\r")) if at >= 0]
    return min(ends, default=len(text))


def _form(chunks: Sequence[str], cased: bool, named: set[str]) -> list[str]:  # noqa: FBT001 - private
    folded = {chunk.strip(_STOPS).lower() for chunk in chunks}
    about_words = not folded.isdisjoint(EXACT) or not (
        folded.isdisjoint(COUNTED) or folded.isdisjoint(COUNTING)
    )
    if about_words or _patterned(" ".join(chunks)):
        return ["=", *frames.without_manners([_first_folded(chunks[0]), *chunks[1:]])]
    tokens = _tokens(chunks, cased, named)
    asked = frames.framed(_numbered(tokens))
    english = not (folded.isdisjoint(ENGLISH) and folded.isdisjoint(APART)) or "n't" in " ".join(chunks)
    return _brief(asked, english)


def _patterned(text: str) -> bool:
    """Whether a text has a pattern, in which every sign counts."""
    return not _META.isdisjoint(text) and _REGEX.search(text.lower()) is not None


def _tokens(chunks: Sequence[str], cased: bool, named: set[str]) -> list[str]:  # noqa: FBT001 - private
    out: list[str] = []
    for place, chunk in enumerate(chunks):
        word = chunk
        if word.isalpha():
            if len(word) < 4 and out and out[-1][-1].isdigit() and out[-1][0] != "\0":
                out.append(word)  # a unit: mW is not MW
            else:
                _word(word, place, cased, named, out)
            continue
        if word[0] == "\0":
            out.append(word)
            continue
        word = word[: _end(word)]
        stopped = len(word) < len(chunk)
        if word.isalpha():
            if len(word) < 4 and out and out[-1][-1].isdigit() and out[-1][0] != "\0":
                out.append(word)
            else:
                _word(word, place, cased, named, out)
        elif word:
            _shaped(word, place, cased, named, out)
        else:
            out.append("," if out and out[-1][0] == "\0" else "`" + chunk)
        if stopped and word:
            out.append(",")
    return out


def _word(word: str, place: int, cased: bool, named: set[str], out: list[str]) -> None:  # noqa: FBT001
    low = word.lower()
    if low == word:
        known = APART.get(low)
        if known is None:
            out.append(_spelled(SAME.get(low, low)))
        else:
            out += known.split(" ")
        return
    titled = word[1:] == low[1:]
    if place == 0 and (titled or word.isupper()):
        known = APART.get(low)
        out += [_spelled(SAME.get(low, low))] if known is None else known.split(" ")
        return
    if len(word) == 1 and word != "I":
        kept = word  # a letter is a name: plan A, vitamin C
    elif low in CASED or (cased and place):
        kept = word
    elif titled or word.isupper() or word in BRANDS:
        kept = _spelled(SAME.get(low, low))
    else:
        kept = word
    out.append(kept)
    if word != "I":
        named.add(kept)


def _spelled(word: str) -> str:
    """American spelling of a word with `-ise`; longer ones only, so that a prize stays a prize."""
    if len(word) > 5 and "is" in word:
        for british in ("ise", "ised", "ises", "ising", "isation", "isations"):
            if word.endswith(british):
                return word[: -len(british)] + british.replace("is", "iz", 1)
    return word


def _shaped(word: str, place: int, cased: bool, named: set[str], out: list[str]) -> None:  # noqa: FBT001
    """Take apart a chunk that is more than letters."""
    if shape := _SHAPE.fullmatch(word):
        sign, number, unit = shape.groups()
        low = word.lower()
        if low in SAME:
            out.append(SAME[low])
            return
        out.append(number.replace(",", "") if _GROUPED.fullmatch(number.lstrip("-")) else number)
        if sign:
            out.append(SIGNS.get(sign, sign))
        if unit:
            out.append(SIGNS.get(unit, unit))
        return
    if _SUM.fullmatch(word):
        out += _PARTS.findall(word)
        return
    low = word.lower()
    if low in APART:
        out += APART[low].split(" ")
        return
    head, mark, tail = word.rpartition("'")
    if mark and head.isalpha() and (tail.isalpha() or not tail):
        _owned(head, tail.lower(), place, cased, named, out)
        return
    if "-" in word and (pieces := low.split("-")) and all(piece.isalpha() for piece in pieces):
        if all(piece in DIGITS or piece in TIMES for piece in pieces) or pieces[0] == "non":
            out += pieces
        else:
            out.append(low if len(low) > 3 and not cased else word)
        return
    if (inner := word.strip("()[]{}\"'*")) != word and inner.isalpha():
        begin = word.index(inner)
        out += word[:begin]
        _word(inner, place or 1, cased, named, out)
        out += word[begin + len(inner) :]
        return
    named.add(word)
    out.append(word)


def _owned(head: str, tail: str, place: int, cased: bool, named: set[str], out: list[str]) -> None:  # noqa: FBT001
    """Take a word and what its apostrophe ties to it apart."""
    low = head.lower()
    if tail == "t" and low.endswith("n"):
        _word(head[:-1], place, cased, named, out)
        out.append("not")
        return
    _word(head, place, cased, named, out)
    if tail == "s" and low in IS_AFTER:
        out.append("is")
    elif f"'{tail}" in ENDINGS:
        out.append(ENDINGS[f"'{tail}"].strip())
    else:
        out.append("'" + tail)


def _numbered(tokens: list[str]) -> list[str]:
    """Spelled numbers as digits: tens with their unit, and what a hundred or a million multiplies."""
    out: list[str] = []
    tens = False
    for word in tokens:
        value = DIGITS.get(word)
        last = out[-1] if out else ""
        if value is not None:
            if tens and len(value) == 1 and value != "0":
                out[-1] = last[0] + value
            else:
                out.append(value)
        elif word in TIMES and 0 < len(last) < 5 and last.isdigit() and last.isascii():
            out[-1] = str(int(last) * TIMES[word])
        else:
            out.append(word)
        tens = value is not None and len(value) == 2 and value[1] == "0" and value != "10"
    return out


def _brief(tokens: list[str], english: bool) -> list[str]:  # noqa: FBT001
    """Without commas and, in English, small words and articles.

    Articles stay where little else is said: the matter is not matter.
    """
    kept = [
        word
        for before, word in zip(["", *tokens], tokens, strict=False)
        if (word != "," or before in _ANSWERS) and not (english and word in SMALL and before in BEFORE_SMALL)
    ]
    said = sum(word not in frames.THIN for word in kept)
    if said <= frames.FEW or not english:
        return kept
    after = [*kept[1:], ""]
    return [
        word
        for before, word, then in zip(["", *kept], kept, after, strict=False)
        if word not in ARTICLES or (_names_a(before, then) if word == "a" else then in _AFTER_THE)
    ]


def _names_a(before: str, then: str) -> bool:
    """Whether an `a` between two words is more than an article."""
    return then in _AFTER_A or not then[:1].isalnum() or before in _BEFORE_A


_ANSWERS: Final = frozenset(("no", "yes"))
"""Words after which a comma counts: no, one is not no one."""

_AFTER_THE: Final = bag("most least last next few past other rest more less same 1")
_AFTER_A: Final = bag("few little lot bit couple in is of to for do and or on")
"""Words before which `a` is no mere article: a few are not few."""

_BEFORE_A: Final = bag(
    "vitamin plan hepatitis type section grade class option appendix part group influenza team list "
    "schedule series exhibit choice point set node step column row variable matrix event equals"
)
"""Words after which `a` is a name."""
