"""Which ways of asking are one: greetings, manners and the frames of how, what and which-differs.

Each rule reads and rewrites the head or the end of one tokenised sentence. A frame that it does not know
stays as it is, so that the two prompts differ and are refused. It knows nothing of numbers or spelling.
"""

import re
from functools import partial
from typing import Final

from p402.cache.guards.lexicon import NUMBERS, bag

HEAD: Final = 28
"""Tokens in which frames are looked for."""

FEW: Final = 2
"""Words of content up to which articles count."""

THIN: Final = bag(
    "what who which why how when where is are was were do does did a the of in on to for i you me my "
    "explain tell give show list define"
)
"""Words that are not content."""

_ASKED: Final = (
    "(?:what|how|which|why|who|whom|where|when|whether|if|is|are|does|do|did|can|could|would|will|should)"
)
_VERBS: Final = (
    "(?:add|analyze|answer|build|calculate|check|classify|compare|convert|correct|create|debug|define|design|draft|"
    "edit|explain|extract|find|fix|format|generate|give|help|identify|implement|list|make|name|optimize|outline|"
    "parse|plan|please|provide|recommend|refactor|rewrite|show|simplify|solve|sort|suggest|summarize|tell|translate|"
    "walk|write)"
)
_HELLO: Final = "(?:hi|hello|hey|hiya|greetings|good (?:morning|afternoon|evening|day))"
_LEADS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_HELLO}(?: (?:there|everyone|all|team))? ,+ ",
        rf"{_HELLO} (?=please |i was |i am |{_ASKED} (?:you|i|we) )",
        r"(?:please|kindly)(?: ,)? (?!is |are )",
        rf"(?:can|could|would|will) you (?:please |kindly )?(?={_VERBS} )",
        rf"(?:i was|i am|i have been) wondering (?:if you (?:can|could) tell me )?(?={_ASKED} )",
        rf"(?:i would like|i want|i need) to know (?={_ASKED} )",
        rf"(?:i would like|i want|i need) you to (?={_VERBS} )",
        rf"(?:do you know|tell me|let me know) (?={_ASKED} )",
    )
)
"""Openings that ask for nothing."""

_ENDS: Final = tuple(
    tuple(words.split())
    for words in (
        "please",
        "thanks",
        "thank you",
        "thanks a lot",
        "thank you very much",
        "thank you so much",
        "thanks in advance",
        "many thanks",
        "cheers",
    )
)

_GERUNDS: Final = {
    "explaining": "explain",
    "telling": "tell",
    "showing": "show",
    "giving": "give",
    "writing": "write",
    "helping": "help",
    "walking": "walk",
    "listing": "list",
}

_MIND: Final = re.compile(f"would you mind (?=(?:{'|'.join(_GERUNDS)}) )")

_HOW: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"how (?:do|can|could) i ",
        r"how i (?:can|could|would) ",
        r"how to ",
        r"(?:show me|teach me|explain|explain to me) how (?:to|i can|i could|do i|can i) ",
        r"what is the (?:best |right |proper |correct |recommended )?way to ",
        r"what are (?:the |some )?(?:best |good |effective )?ways to ",
        r"is there (?:a|any) way to ",
        r"what (?:are the steps|is the process|is the command) to ",
        r"what (?:can|should) i do to ",
    )
)
"""Questions of a way. `you` is none of them: it may be the one who is asked."""

_HOW_DOING: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"what is the process (?:for|of) ",
        r"what are the steps (?:for|of|in) ",
        r"what is the (?:best |right |proper |correct |recommended )?way of ",
        r"walk me through (?:the (?:steps|process) (?:for|of) )?",
    )
)
_HOW_WORKS: Final = re.compile(
    r"(?:(?:explain|explain to me) (?:how|the way) (?=.+ works$)|how (?:do|does) (?=.+ work$))"
)
_WHAT_IS: Final = re.compile(r"(?:explain |explain to me )?what (?!is |are |was |were )(.+) (is|are)$")
_DIFFERS: Final = re.compile(r"(?:explain |explain to me )?how (?:do |does )?(.+?) differs? from (.+)$")
_DIFFER: Final = re.compile(
    r"(?:explain |explain to me )?how (?:do |does )?(.+ and .+?) differ"
    r"(?: from (?:1 another|each other))?(?= in | on |$)"
)
_DIFFERENCE: Final = re.compile(r"(?:explain|explain to me|what is|what are) the differences? between ")
_SHIFTED: Final = re.compile(rf"((?:in|using|with|for|on|at) (?:[^ ,]+ ){{1,6}}), (?={_ASKED} )")
_BETWEEN: Final = re.compile(
    r"(?:difference|choose|similarities|choice) between "
    r"(?:(?:a|the) )?([^ ,0-9]+) and (?:(?:a|the) )?([^ ,0-9]+)(?= in | for | on |$)"
)
_CHOICE: Final = re.compile(r" , ([^ ,0-9]+) or ([^ ,0-9]+)$")
_VERSUS: Final = re.compile(r"^([^ ,0-9]+) vs ([^ ,0-9]+)(?= in | for | on |$)")
_WHICH: Final = re.compile(r"which (?:one )?is the (?=best |most |least |worst |largest |smallest |fastest )")
_UNEVEN: Final = bag(
    "subtract divide minus ratio quotient respectively then order over calculate compute total"
)
"""Words beside which a pair is not the same the other way round."""

_BOTH: Final = re.compile(r" (cons and pros|disadvantages and advantages)(?= )")


def without_manners(tokens: list[str]) -> list[str]:
    """Tokens of a text that is about words, without a greeting before it and thanks behind a comma."""
    line = _led(" ".join(tokens))
    kept = line.split() or tokens
    for words in _ENDS:
        size = len(words)
        if (
            len(kept) > size
            and tuple(kept[-size:]) == words
            and kept[-size - 1].endswith((",", ".", "?", "!"))
        ):
            kept = kept[:-size]
            kept[-1] = kept[-1].rstrip(",.?!") or kept[-1]
            break
    return kept


def framed(tokens: list[str]) -> list[str]:
    """Tokens of a sentence with its frame in one form; commas are still among them."""
    tokens = _unended(tokens)
    head, rest = tokens[:HEAD], tokens[HEAD:]
    line = _asked(_led(" ".join(head)), whole=not rest)
    return line.split() + rest


def _unended(tokens: list[str]) -> list[str]:
    """Without thanks behind a comma, nor a `please`.

    One word only goes without a comma, so that no two are taken for one.
    """
    kept = list(tokens)
    for _ in range(3):
        paused = kept[-1:] == [","]
        while kept and kept[-1] == ",":
            kept.pop()
        for words in _ENDS:
            size = len(words)
            if tuple(kept[-size:]) == words and kept[-size - 1 : -size] == [","]:
                kept = kept[:-size]
                break
        else:
            if len(kept) > 1 and kept[-1] == "please":
                kept.pop()
            elif not paused:
                break
    return kept or tokens


def _led(line: str) -> str:
    for _ in range(4):
        before = line
        for lead in _LEADS:
            if (found := lead.match(line)) and found.end() < len(line):
                line = line[found.end() :]
        if found := _MIND.match(line):
            doing, space, rest = line[found.end() :].partition(" ")
            line = _GERUNDS[doing] + space + rest
        if line == before:
            break
    return line


def _asked(line: str, *, whole: bool) -> str:
    """One form of how, of what, and of a difference; `whole`, where the line is not cut off."""
    if shifted := _SHIFTED.match(line):
        line = _led(line[shifted.end() :])
        if whole:
            return f"{_asked(line.rstrip(' ,'), whole=True)} {shifted[1].rstrip()}"
        return f"{shifted[1]}{line}"
    for pattern in _HOW:
        if found := pattern.match(line):
            return "how " + line[found.end() :]
    for pattern in _HOW_DOING:
        if found := pattern.match(line):
            doing, space, rest = line[found.end() :].partition(" ")
            return f"how {_done(doing)}{space}{rest}"
    if found := _DIFFERENCE.match(line):
        line = "difference between " + line[found.end() :]
    elif whole and (found := _DIFFERS.fullmatch(line)):
        line = f"difference between {found[1]} and {found[2]}"
    elif whole and (found := _DIFFER.match(line)):
        line = f"difference between {found[1]}{line[found.end() :]}"
    elif whole and (found := _HOW_WORKS.match(line)):
        line = "how " + line[found.end() :].removesuffix("s")
    elif whole and (found := _WHAT_IS.fullmatch(line)):
        line = f"what {found[2]} {found[1]}"
    elif found := _WHICH.match(line):
        line = "what is the " + line[found.end() :]
    if whole and _UNEVEN.isdisjoint(line.split(" ")):
        for pattern, joint in ((_BETWEEN, "and"), (_CHOICE, "or"), (_VERSUS, "vs")):
            line = pattern.sub(partial(_sorted, joint=joint), line, count=1)
        line = _BOTH.sub(lambda found: " " + " and ".join(reversed(found[1].split(" and "))), line)
    return line


def _sorted(found: re.Match[str], joint: str) -> str:
    """Both of a pair in one order."""
    low, high = sorted(found.groups())
    if low in NUMBERS or high in NUMBERS:
        return found[0]  # from May to June is no time from June to May
    lead = found[0][: found.start(1) - found.start()]
    return f"{lead}{low} {joint} {high}"


def _done(doing: str) -> str:
    """Base form of a verb in -ing; a wrong guess only refuses."""
    if not doing.endswith("ing") or len(doing) < 6:
        return doing
    base = doing[:-3]
    if base[-1] == base[-2] and base[-1] not in "lsz":
        return base[:-1]
    if len(base) < 5 and base[-1] in "bcdfgkmnprstvz" and base[-2] in "aeiou" and base[-3] not in "aeiou":
        return base + "e"
    return base
