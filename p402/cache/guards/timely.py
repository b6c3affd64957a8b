"""Whether an answer depends on when it is asked, so that it may be neither kept nor served again.

Words of time alone do not tell: `current` and `now` stand in most prompts about code. What counts is the
present of the world (today, the latest release, who holds an office, the weather), not that of a program or
a tale. So a prompt that wants a program, a tale or another wording is excused for what it states, but never
for a question beside it, nor for what no program computes (`ages.WORLD`). In doubt a prompt is taken for
time-bound, at the price of a provider call. It knows no clock.
"""

import re
from collections.abc import Sequence
from typing import Final

from p402.cache.guards.ages import ANYWHERE, ENDS, PLAIN, WORLD
from p402.cache.guards.lexicon import bag
from p402.cache.guards.spoken import Sentence, any_of, folded, sentences

_BARE: Final = 20
"""Words up to which a line that gives nothing is a plain question."""

_BRIEF: Final = 7
"""Words, and one, up to which a statement beside a wish for a program may be a wish itself."""


def _found(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile(rf"(?:(?<= )|(?=\A ))(?:{'|'.join(patterns)})(?= |\Z|(?<= ))")


_WORLD: Final = _found(WORLD)
_TIMELY: Final = _found((*ANYWHERE, *WORLD))
_ENDS: Final = _found((*ANYWHERE, *WORLD, *ENDS))
_PLAIN: Final = _found(PLAIN)
_NUMBER: Final = re.compile(" [0-9]")
_PAST: Final = re.compile(" (?:1[0-9]{3}|20[01][0-9])s? ")
"""A year that is over for good."""

_REPLY: Final = re.compile(" (?:answer|reply|respond|use|be|keep|you|limit|format|return) ")

_IDIOM: Final = re.compile(
    " (?:in today's (?:[^ ]+ )?(?:world|society|age|economy|market|era|climate)|at the latest|"
    "weather (?:and|or|vs|versus) climate|climate (?:and|or|vs|versus) weather|weather app|weather the storm|"
    "next (?:element|node|item|line|step|token)) "
)
"""Phrases in which such words tell no time."""

_MANNERS: Final = re.compile(
    "\\A (?:(?:please|hi|hello|hey|ok|okay|thanks|also|then|and|but|so|well|now|just|kindly|assistant|there|"
    "(?:can|could|would|will) you(?: please)?|do you know|tell me(?= (?!an? |the |something))|i want to know|"
    "i would like to know|i'd like to know|i need to know|question|quick question) )+"
)
_TIMELESS: Final = re.compile(
    "\\A (?:why|explain|define|describe|discuss|compare|calculate|compute|derive|prove|find|solve|suppose|"
    "if|given|"
    "consider|assume|what causes|what caused|what makes|what does|what do|what kind|what type|"
    "how did|"
    "how does|how was|how were|difference|what is the difference|what is meant|which of|what was the) "
)
"""Heads of questions that have one answer for all days."""

_ARTIFACT: Final = any_of(
    "functions? methods? scripts? code program programs query queries sql regex component class app "
    "application "
    "api endpoint tests? unit_test variables? loops? pointer iterator module decorator middleware hook "
    "cli parser "
    "algorithm dataframe command macro formula page website dashboard widget bot scraper plugin package "
    "library "
    "snippet schema table workflow pipeline dockerfile makefile cron_job one_liner expression"
)
_MAKES: Final = re.compile(
    "\\A "
    + any_of(
        "write implement create build make design generate refactor fix debug add define code complete "
        "develop give_me show_me"
    )
    + f"(?: (?!today|latest|current|news|weather)[^ ]+){{0,5}} {_ARTIFACT} "
)
_HOW: Final = re.compile(
    "\\A (?:in [^ ]+ |using [^ ]+ )?(?:"
    + any_of(
        "how_do_i how_do_you how_can_i how_can_you how_to how_would_i how_should_i how_does_one "
        "what_is_the_best_way_to what's_the_best_way_to show_me_how write implement create build make "
        "design generate refactor fix debug add define code complete develop is_there_a_way_to"
    )
    + ") "
)
_CODE: Final = re.compile(
    " "
    + any_of(
        "functions? methods? scripts? code query queries sql regex component app api endpoint unit_test "
        "variables? loops? pointer iterator module decorator middleware hook cli parser algorithm dataframe "
        "pandas python javascript typescript java kotlin swift rust golang ruby php bash shell powershell "
        "django flask react vue angular node excel html css cron git linux postgres mysql numpy docker"
    )
    + " "
)
_TALE: Final = re.compile(
    "\\A (?:write|compose|create|make|tell|give|invent)(?: me| us)? "
    "(?:an?|one|some|another|the|two|three|[0-9]+) "
    "(?:(?!latest|newest|today's|current|top|news|new|recent)[^ ]+ ){0,4}"
    "(?:story|stories|poems?|haikus?|song|sonnet|limerick|novel|jokes?|dialogue|lyrics|tale|screenplay|"
    "ballad) "
    "(?!of the day)"
)
_LETTER: Final = re.compile(
    "\\A (?:write|compose|draft|create)(?: me| us)? (?:an?|the|my) (?:[^ ]+ ){0,3}"
    "(?:email|e mail|mail|letter|message|memo|invitation|reply|note|speech|toast|card|announcement|apology) "
)
_TEXTUAL: Final = re.compile(
    "\\A "
    + any_of("translate proofread paraphrase rephrase rewrite conjugate correct_the_grammar fix_the_grammar")
    + " "
)
_OF_A_DAY: Final = re.compile(
    " (?:today's|tonight's|this morning's|latest|newest|current|breaking) (?:[^ ]+ )?"
    "(?:news|headlines?|top|stories|weather|forecast|scores?|prices?|results?|articles?|editorials?) "
)
"""What a translator would have to fetch."""

_PASSAGE: Final = re.compile("[:\n]| (?:following|below|this|these) ")
"""Signs that the text to work on is in the prompt."""

_FOREIGN: Final = bag(
    "heute gestern morgen jetzt aktuell aktuelle aktuellen derzeit hoy ayer mañana ahora actualmente "
    "aujourd'hui hier demain maintenant actuellement oggi ieri domani adesso hoje ontem amanhã сегодня вчера "
    "завтра сейчас vandaag gisteren bugün şimdi dziś teraz اليوم الآن "
    "wetter météo wechselkurs aktienkurs погода новости nachrichten"
)
_EASTERN: Final = re.compile(
    "[今昨明]天|今日|昨日|明日|现在|現在|最新|目前|今晚|오늘|어제|내일|지금|현재|天[气氣]|天気|날씨|汇率|"
    "匯率|股[价價]|株価|quel temps|qué tiempo|precio del (?:dólar|euro)"
)


def is_time_sensitive(text: str) -> bool:
    """Whether the answer ages with the world: then it is neither read from the cache nor written to it."""
    low = folded(text)
    read = sentences(low)
    if any(not _FOREIGN.isdisjoint(one.line.split()) for one in read):
        return True
    if not low.isascii() and _EASTERN.search(low):
        return True
    said = [Sentence(_manners_off(_IDIOM.sub(" ", line)), asks) for line, asks in read]
    if said and _TEXTUAL.match(said[0].line):
        if _OF_A_DAY.search(said[0].line):
            return True
        if _PASSAGE.search(low):
            return False
        said = said[1:]
    return _tells(said) or _is_plainly_asked(said)


def _manners_off(line: str) -> str:
    return _MANNERS.sub(" ", line)


def _tells(said: Sequence[Sentence]) -> bool:
    """Whether a sentence asks of the present that is not a program's or a tale's."""
    if not any(_ENDS.search(one.line) for one in said):
        return False
    about_code = any(_CODE.search(one.line) for one in said)
    excused = [_excuse(one.line, about_code=about_code) for one in said]
    for one, excuse in zip(said, excused, strict=True):
        beside = excuse == _NONE and not one.asks and any(excused)
        if excuse == _ALL or (beside and one.line.count(" ") > _BRIEF):
            continue
        if (_WORLD if excuse or beside else _ENDS if one.asks else _TIMELY).search(one.line):
            return True
    return False


_NONE: Final = 0
_SOME: Final = 1  # all but what no program computes
_ALL: Final = 2


def _excuse(line: str, *, about_code: bool) -> int:
    """How much of the present a sentence may speak of and still ask nothing of the world."""
    if _MAKES.match(line):
        return _ALL
    if _TALE.match(line) or _LETTER.match(line) or (about_code and _HOW.match(line)):
        return _SOME
    return _NONE


def _is_plainly_asked(said: Sequence[Sentence]) -> bool:
    """Whether the first or the last sentence asks of the world, with no number given beside it."""
    for at, (line, asks) in enumerate(said):
        if 0 < at < len(said) - 1 or not (asks or len(said) == 1) or line.count(" ") > _BARE:
            continue
        if not _PLAIN.search(line) or _PAST.search(line):
            continue
        if _TIMELESS.match(line) or _HOW.match(line) or _excuse(line, about_code=False):
            continue
        if len(_NUMBER.findall(line)) > 1 or any(_gives(one.line) for one in said if one.line is not line):
            continue
        return True
    return False


def _gives(line: str) -> bool:
    """Whether a sentence states a number that the question may be about."""
    return bool(_NUMBER.search(line)) and not _REPLY.match(line)
