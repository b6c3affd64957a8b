"""Whether an answer depends on when it is asked, so that it may be neither kept nor served again.

Words of time alone do not tell: `current` and `now` stand in most prompts about code. What counts is the
present of the world (today, the latest release, who holds an office, the weather), not that of a program or
a tale. In doubt a prompt is taken for time-bound, at the price of a provider call. It knows no clock.
"""

import re
from typing import Final

from p402.cache.guards.lexicon import bag

_HEAD: Final = 6_000
_TAIL: Final = 2_000
"""Characters read at either end."""

_QUOTED: Final = re.compile(r'`[^`]*`|"[^"]*"|now\(\)')
_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def _any(words: str) -> str:
    """Any of the words of a list; `_` within one stands for a space."""
    return f"(?:{'|'.join(words.split()).replace('_', ' ')})"


_PERIOD: Final = _any(
    "week month year quarter season semester decade century morning afternoon evening night weekend monday "
    "tuesday wednesday thursday friday saturday sunday spring summer autumn winter fall january february "
    "march april may june july august september october november december game match race episode election "
    "launch earthquake minute hour days weeks months years hours minutes"
)
_OFFICE: Final = _any(
    "president vice_president prime_minister ceo cto cfo chairman chairwoman chair king queen pope governor "
    "mayor chancellor monarch champion champions coach captain manager secretary speaker leader owner head"
)
_FACT: Final = _any(
    "prices? rates? weather temperature time date day month year version release scores? standings rankings? "
    "news events affairs situation status population traffic trends? inflation unemployment gdp holder "
    "record market balance location exchange value_of_gold value_of_bitcoin value_of_the_dollar "
    "value_of_the_euro state_of_the_art laws? government administration season members? conditions? "
    "wait stock"
)
_THING: Final = _any("commit element item row file branch tag record value entry node message line possible")
"""What is the latest of its kind within a program."""

_NOW: Final = (
    _any(
        "today todays today's tonight tonight's yesterday yesterday's tomorrow tomorrow's currently nowadays "
        "recently presently upcoming these_days right_now as_of_now at_the_moment at_present so_far_this "
        "from_now by_now just_now now\\Z the_latest\\Z what's_new what_is_new"
    ),
    _any("is are do does has have open happening playing trending available") + " now",
    f"this (?:{_PERIOD}|past|coming|very)",
    f"(?:last|next|past|previous|coming) {_PERIOD}",
    "(?:[0-9]+|a|an|few|two|three|several|couple) (?:second|minute|hour|day|week|month|year)s? ago",
    "(?:what|which) (?:time|day|date|month|year) (?:is it|is(?! [0-9])|are we|it is)",
    "what time (?:does|do|will|did|can|should)",
    "(?:what's|what is) the (?:time|date|day)(?! complexity)",
    "when (?:is|are|does) (?:the |my )?next",
    "how (?:many|long) (?:more )?(?:days |weeks |months |hours |minutes |time )?(?:until|till|left|since)",
    "how old (?:is|are)",
    f"current (?:[^ ]+ ){{0,3}}(?:{_FACT}|{_OFFICE})",
    f"(?:who is|who are|whos|who's) (?:the |our |now )?(?:[^ ]+ ){{0,2}}{_OFFICE}",
    f"(?:latest|newest|most recent) (?!{_THING}(?: |\\Z))[^ ]+",
    _any("weather forecast headlines breaking_news the_news live_scores?"),
    "news (?:about|on|from|in)",
    "score of (?:the|last)",
    _any("stock share market gas oil gold silver bitcoin ethereum crypto") + " prices?",
    "price of (?:gold|silver|oil|gas|bitcoin|btc|ethereum|eth|[^ ]+ (?:stock|shares?))",
    "how much is (?:bitcoin|btc|gold|ethereum)",
    "(?:exchange|mortgage) rates?",
    "traffic (?:on|in|to|near)",
    "(?:who won the|who is winning|(?<!year )(?<!when )did [^ ]+ win)",
    "(?:is|are) (?:[^ ]+ ){1,4}(?:open|closed|down|alive|still)\\Z",
    "(?:is|are) (?:[^ ]+ ){1,3}still",
)
_TIMELY: Final = re.compile(f" (?:{'|'.join(_NOW)})(?= |\\Z)")

_PLAIN: Final = re.compile(
    " (?:in today's (?:[^ ]+ )?(?:world|society|age|economy|market|era|climate)|at the latest|"
    "weather (?:and|or|vs|versus) climate|climate (?:and|or|vs|versus) weather|weather app|weather the storm|"
    "next (?:element|node|item|line|step|token)) "
)
"""Phrases in which such words tell no time."""

_MANNERS: Final = "(?:please |can you |could you |now )*"
_MAKES: Final = re.compile(
    f" {_MANNERS}"
    + _any(
        "write implement create build make design generate refactor fix debug add define code complete "
        "develop show_me_how how_do_i how_do_you how_can_i how_to how_would_i using in"
    )
    + " "
)
_CODE: Final = re.compile(
    " "
    + _any(
        "functions? methods? scripts? code query queries sql regex component app api endpoint unit_test "
        "variables? loops? pointer iterator module decorator middleware hook cli parser algorithm dataframe "
        "pandas python javascript typescript java kotlin swift rust golang ruby php bash shell powershell "
        "django flask react vue angular node excel html css cron git"
    )
    + " "
)
_TALE: Final = re.compile(
    f" {_MANNERS}(?:write|compose|create|make|tell|give)(?: me| us)? (?:[^ ]+ ){{0,4}}"
    "(?:story|poem|haiku|song|sonnet|limerick|novel|joke|dialogue|lyrics|tale|screenplay|fairy) "
)
_TEXTUAL: Final = re.compile(
    f" {_MANNERS}"
    + _any("translate proofread paraphrase rephrase rewrite conjugate correct_the_grammar fix_the_grammar")
    + " "
)
_FOREIGN: Final = bag(
    "heute gestern morgen jetzt aktuell aktuelle aktuellen derzeit hoy ayer mañana ahora actualmente "
    "aujourd'hui hier demain maintenant actuellement oggi ieri domani adesso hoje ontem amanhã сегодня вчера "
    "завтра сейчас vandaag gisteren bugün şimdi dziś teraz اليوم الآن"
)
_EASTERN: Final = re.compile("[今昨明]天|今日|昨日|明日|现在|現在|最新|目前|今晚|오늘|어제|내일|지금|현재")


def is_time_sensitive(text: str) -> bool:
    """Whether the answer ages with the world: then it is neither read from the cache nor written to it."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} {text[-_TAIL:]}"
    low = text.casefold().replace("\u2019", "'")
    words = _WORD.findall(_QUOTED.sub(" ", low))
    if not _FOREIGN.isdisjoint(words) or (not low.isascii() and _EASTERN.search(low)):
        return True
    line = _PLAIN.sub(" ", f" {' '.join(words)} ")
    if not _TIMELY.search(line.rstrip()):
        return False
    if _TEXTUAL.match(line) or _TALE.match(line):
        return False
    return not (_MAKES.match(line) and _CODE.search(line))
