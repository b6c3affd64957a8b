"""Sentences that common questions are made of, written for this: wordings with slots, and what fills them.

Every filling has a counterpart that makes another answer right (another number, the opposite, another place):
that is a near miss. No word here says when it is asked. They carry no outcome, and are of no data set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Pair = tuple[str, str]
"""What a question has in a slot, and what its near miss has there."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One kind of question.

    Attributes
    ----------
    wordings
        Sentences that ask the same, the usual one first; `{slot}` is filled. The last has other words, which
        the cache's guards refuse, as they do in life; the others differ in manners and in how a question is
        framed.
    slots
        What may fill each; the numbers of fillings have no common divisor, so that counting through all
        slots at once meets every combination. A slot's name says what its near miss changes.
    """

    wordings: tuple[str, ...]
    slots: Mapping[str, tuple[Pair, ...]]


_HELP: Final = Frame(
    (
        "How do I {antonym} {noun} in the {entity} plan?",
        "How can I {antonym} {noun} in the {entity} plan?",
        "Please tell me how to {antonym} {noun} in the {entity} plan.",
        "I would like to {antonym} {noun} in the {entity} plan. How does that work?",
    ),
    {
        "antonym": (("enable", "disable"), ("add", "remove"), ("open", "close"), ("start", "stop")),
        "noun": (
            ("automatic backups", "automatic updates"),
            ("shared folders", "shared calendars"),
            ("invoice mails", "reminder mails"),
            ("guest access", "admin access"),
            ("the weekly report", "the weekly call"),
        ),
        "entity": (("Basic", "Premium"), ("Team", "Enterprise"), ("Family", "Student")),
    },
)
_WARRANTY: Final = Frame(
    (
        "Why is my {noun} {negation}covered by the warranty after {number} months?",
        "Hello, why is my {noun} {negation}covered by the warranty after {number} months?",
        "Why is my {noun} {negation}covered by the warranty after {number} months, please?",
        "What is the reason that my {noun} is {negation}covered by the warranty after {number} months?",
    ),
    {
        "noun": (
            ("keyboard", "monitor"),
            ("kettle", "toaster"),
            ("drill", "sander"),
            ("headset", "speaker"),
        ),
        "negation": (("", "not "),),
        "number": (("6", "7"), ("12", "14"), ("18", "19"), ("24", "26"), ("36", "40")),
    },
)
_RETRY: Final = Frame(
    (
        "How do I make a {entity} client retry a request {number} times before it {antonym}?",
        "How can I make a {entity} client retry a request {number} times before it {antonym}?",
        "What is the best way to make a {entity} client retry a request {number} times before it {antonym}?",
        "My {entity} client should retry a request {number} times before it {antonym}. How do I write that?",
    ),
    {
        "entity": (("Python", "Ruby"), ("Go", "Rust"), ("Java", "Kotlin")),
        "number": (("3", "4"), ("5", "6"), ("8", "9"), ("10", "12"), ("20", "25")),
        "antonym": (("fails", "succeeds"), ("closes", "opens"), ("stops", "starts"), ("locks", "unlocks")),
    },
)
_SORT: Final = Frame(
    (
        "Write a function that sorts {noun} in {antonym} order and does {negation}keep duplicates.",
        "Please write a function that sorts {noun} in {antonym} order and does {negation}keep duplicates.",
        "Can you write a function that sorts {noun} in {antonym} order and does {negation}keep duplicates?",
        "I need a function which sorts {noun} in {antonym} order and does {negation}retain duplicates.",
    ),
    {
        "noun": (
            ("a list of dates", "a list of names"),
            ("a table of orders", "a table of users"),
            ("an array of floats", "an array of strings"),
            ("rows of a file", "columns of a file"),
            ("keys of a map", "values of a map"),
        ),
        "antonym": (("ascending", "descending"), ("alphabetical", "random"), ("forward", "backward")),
        "negation": (("", "not "),),
    },
)
_TRAIN: Final = Frame(
    (
        "A train covers {number} km from {order} at {speed} km/h. How long does it take?",
        "Hi, a train covers {number} km from {order} at {speed} km/h. How long does it take?",
        "A train covers {number} km from {order} at {speed} km/h. How long does it take, please?",
        "How long does a train take that covers {number} km from {order} at {speed} km/h?",
    ),
    {
        "number": (("312", "321"), ("480", "408"), ("150", "115"), ("640", "604"), ("225", "252")),
        "order": (
            ("Oslo to Bergen", "Bergen to Oslo"),
            ("Lyon to Nice", "Nice to Lyon"),
            ("Graz to Linz", "Linz to Graz"),
        ),
        "speed": (("96", "69"), ("120", "102"), ("80", "85"), ("150", "105")),
    },
)
_SHARE: Final = Frame(
    (
        "What is {number} % of {total} if the tax is {negation}included?",
        "What's {number} % of {total} if the tax is {negation}included?",
        "Hello, what is {number} % of {total} if the tax is {negation}included?",
        "The tax is {negation}included. How much is {number} % of {total}?",
    ),
    {
        "number": (("15", "16"), ("20", "22"), ("7.5", "5.7"), ("35", "53")),
        "total": (("840", "480"), ("1,250", "1,520"), ("96", "69"), ("310", "301"), ("2,400", "2,040")),
        "negation": (("", "not "),),
    },
)
_SEATS: Final = Frame(
    (
        "{number} people sit in a row and {order}. Who can {negation}sit in the middle?",
        "Hello, {number} people sit in a row and {order}. Who can {negation}sit in the middle?",
        "{number} people sit in a row and {order}. Who can {negation}sit in the middle, please?",
        "Who can {negation}take the middle seat if {number} people sit in a row and {order}?",
    ),
    {
        "number": (("5", "7"), ("9", "11"), ("13", "15"), ("17", "19")),
        "order": (
            ("Ana sits left of Ben", "Ben sits left of Ana"),
            ("Carl sits next to Dora", "Dora sits next to Emil"),
            ("Ines follows Juri", "Juri follows Ines"),
            ("Karl precedes Lena", "Lena precedes Karl"),
            ("Mia sits behind Noa", "Noa sits behind Mia"),
        ),
        "negation": (("", "not "),),
    },
)
_PLAN: Final = Frame(
    (
        "Plan {number} tasks for {entity} so that the {antonym} one comes first.",
        "Please plan {number} tasks for {entity} so that the {antonym} one comes first.",
        "Could you plan {number} tasks for {entity} so that the {antonym} one comes first?",
        "How should {entity} order {number} tasks so that the {antonym} one comes first?",
    ),
    {
        "number": (("9", "6"), ("12", "21"), ("15", "25"), ("8", "18"), ("30", "13")),
        "entity": (("Ana and Ben", "Ana and Carl"), ("the Oslo team", "the Lisbon team"), ("Dora", "Emil")),
        "antonym": (
            ("longest", "shortest"),
            ("cheapest", "dearest"),
            ("easiest", "hardest"),
            ("smallest", "largest"),
        ),
    },
)
_FACTS: Final = Frame(
    (
        "Which {noun} of {entity} is the {antonym}?",
        "Tell me which {noun} of {entity} is the {antonym}.",
        "Do you know which {noun} of {entity} is the {antonym}?",
        "What is the {antonym} {noun} that {entity} has?",
    ),
    {
        "noun": (
            ("river", "lake"),
            ("city", "province"),
            ("mountain", "valley"),
            ("island", "harbour"),
            ("road", "bridge"),
        ),
        "entity": (("Norway", "Sweden"), ("Peru", "Chile"), ("Kenya", "Uganda"), ("Nepal", "Bhutan")),
        "antonym": (("longest", "shortest"), ("largest", "smallest"), ("highest", "lowest")),
    },
)
_YEARS: Final = Frame(
    (
        "Was {entity} {negation}part of the league in {number}?",
        "Hi, was {entity} {negation}part of the league in {number}?",
        "Was {entity} {negation}part of the league in {number}, please?",
        "Is it true that {entity} did {negation}belong to the league in {number}?",
    ),
    {
        "entity": (("Bremen", "Rostock"), ("Bergen", "Stavanger"), ("Riga", "Tallinn"), ("Visby", "Kalmar")),
        "negation": (("", "not "),),
        "number": (("1358", "1385"), ("1402", "1420"), ("1475", "1457"), ("1518", "1581"), ("1604", "1640")),
    },
)
_FIELDS: Final = Frame(
    (
        "Extract the {noun} of invoice {number} from {entity} as JSON.",
        "Please extract the {noun} of invoice {number} from {entity} as JSON.",
        "Can you extract the {noun} of invoice {number} from {entity} as JSON?",
        "From invoice {number} of {entity}, give me the {noun} as JSON.",
    ),
    {
        "noun": (("due date", "issue date"), ("net amount", "gross amount"), ("order number", "tax number")),
        "number": (("4021", "4012"), ("5230", "5320"), ("6118", "6811"), ("7345", "7354"), ("8090", "8900")),
        "entity": (("Hartmann", "Lindqvist"), ("Okafor", "Mensah"), ("Sato", "Tanaka"), ("Rossi", "Bianchi")),
    },
)
_NAMES: Final = Frame(
    (
        "List all {noun} that are {negation}mentioned in section {number}.",
        "Please list all {noun} that are {negation}mentioned in section {number}.",
        "Would you mind listing all {noun} that are {negation}mentioned in section {number}?",
        "In section {number}, which {noun} are {negation}named?",
    ),
    {
        "noun": (("people", "places"), ("dates", "amounts"), ("products", "prices"), ("laws", "courts")),
        "negation": (("", "not "),),
        "number": (("2", "3"), ("4", "14"), ("5", "15"), ("6", "16"), ("7", "17")),
    },
)

FRAMES: Final[Mapping[str, tuple[Frame, ...]]] = {
    "chat": (_HELP, _WARRANTY),
    "code": (_RETRY, _SORT),
    "math": (_TRAIN, _SHARE),
    "reasoning": (_SEATS, _PLAN),
    "knowledge": (_FACTS, _YEARS),
    "extraction": (_FIELDS, _NAMES),
}
"""By task; `_WARRANTY` and its like have twenty combinations, the others sixty."""

FOLLOW_UPS: Final = (
    "Can you say that in fewer words?",
    "Please give me an example of that.",
    "Why is that so?",
)
"""What is asked after an answer, whatever it was: only the conversation says what is meant."""
