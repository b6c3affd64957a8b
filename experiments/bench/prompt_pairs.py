"""Pairs of prompts made from templates: near misses, whose answers differ, and equivalents with one answer.

They are what the lexical guards of the semantic cache are judged by, here and in their tests. All pairs are
made, none drawn, so a run is the same everywhere. The lists know nothing of the guards' own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product
from typing import Final


@dataclass(frozen=True, slots=True)
class Pair:
    """Two prompts.

    Attributes
    ----------
    family
        What differs between them.
    asked, kept
        The prompts.
    bare
        `kept` before harmless changes were put upon it.
    """

    family: str
    asked: str
    kept: str
    bare: str


def _pairs(words: str) -> tuple[tuple[str, str], ...]:
    """Pairs of words out of a list that has a stroke between the two."""
    return tuple((one, other) for one, _, other in (pair.partition("/") for pair in words.split()))


_NUMBERS: Final = (
    ("2", 2), ("3", 3), ("5", 5), ("7", 7), ("10", 10), ("12", 12), ("15", 15), ("25", 25), ("40", 40),
    ("100", 100), ("250", 250), ("1,000", 1000), ("10,000", 10000), ("2.5", 2.5), ("0.5", 0.5),
    ("two", 2), ("four", 4), ("nine", 9), ("twelve", 12), ("twenty", 20), ("twenty-five", 25),
    ("thirty", 30), ("ninety nine", 99), ("3000", 3000),
)  # fmt: skip
_NUMBERED: Final = (
    "How many calories are in {} boiled eggs?",
    "Write a haiku with {} lines about the sea",
    "List {} reasons to learn the piano.",
    "how long does it take to run {} miles at an easy pace",
    "Give me a {} day itinerary for Lisbon",
    "What is the square root of {}?",
    "Summarize this article in {} bullet points.",
    "Is it safe to take {} tablets of aspirin a day?",
)
_UNITS: Final = (
    ("Is {} of paracetamol a safe dose?", ("5 mg", "5 g", "5 mcg", "5 kg", "5 ml", "5mg/kg", "5 grains")),
    (
        "Convert {} to ounces",
        ("3 cups", "3 grams", "3 pounds", "3 kilograms", "3 liters", "3 pints", "3 stone"),
    ),
    ("How far is {} on foot?", ("8 km", "8 miles", "8 m", "8 yards", "8 furlongs", "8 nm")),
    ("Set the timeout of the client to {}", ("30 s", "30 ms", "30 minutes", "30 hours", "30 days", "30 us")),
    (
        "How long does it take to copy {} over wifi?",
        ("4 GB", "4 MB", "4 Gb", "4 Mb", "4 TB", "4 KB", "4 gigabits"),
    ),
    ("What does a heater of {} cost to run?", ("2 kW", "2 W", "2 MW", "2 mW", "2 kWh", "2 BTU")),
    (
        "How much is {} worth in yen?",
        ("$20", "€20", "£20", "20 pesos", "20 rupees", "20 CHF", "20 AUD", "20 cents"),
    ),
    ("Set the oven to {} for the bread", ("200 C", "200 F", "200 K", "200°C", "200°F")),
    ("What is a {} discount on the price?", ("10%", "10 percentage points", "10 dollar", "10 basis points")),
)
_DATES: Final = (
    ("What happened in Berlin in {}?", ("1989", "1998", "May 1989", "June 1989", "the 1980s",
        "the 1890s", "1961")),
    ("Is the museum open on {}?", (
        "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "Mon", "weekdays",
        "holidays")),
    ("How warm is Crete in {}?", (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November")),
    ("Which holiday falls on {} in Spain?", ("January 6", "January 7", "June 1", "2024-01-06",
        "2024-06-01", "6/1", "1/6")),
    ("Book the room from {}", ("9am to 10am", "9am to 11am", "9pm to 10pm", "8am to 10am",
        "9:00 to 9:30", "9:00 to 9:45")),
    ("Who ruled France in the {} century?", ("14th", "15th", "sixteenth", "17th", "18th", "nineteenth",
        "4th", "twentieth")),
    ("What is the {} planet from the sun?", ("first", "second", "third", "4th", "5th", "sixth", "7th",
        "last")),
)  # fmt: skip
_NEGATED: Final = (
    ("Should I {}?", "Should I not {}?"), ("Why should I {}?", "Why should I never {}?"),
    ("Is it wise to {}?", "Is it wise not to {}?"), ("What if I {}?", "What if I don't {}?"),
    ("Reasons to {}", "Reasons not to {}"), ("When can I {}?", "When can I not {}?"),
    ("Do most people {}?", "Do most people never {}?"), ("Can one {}?", "Can no one {}?"),
    ("Why do I {}?", "Why don't I {}?"), ("Tell me who must {}.", "Tell me who must not {}."),
    ("Explain why users {}", "Explain why users cannot {}"), ("How do I {}?",
        "How do I avoid having to {}?"),
    ("Which animals {}?", "Which animals do not {}?"), ("What happens when I {}?",
        "What happens unless I {}?"),
)  # fmt: skip
_ACTIONS: Final = (
    "rinse rice before cooking", "prune roses in winter", "reuse a password", "refrigerate bread",
    "warm up before lifting", "commit generated files", "pay off the mortgage early",
    "water a cactus weekly",
    "wash a cast iron pan", "sleep after lunch", "use global variables", "sign the lease online",
)  # fmt: skip
_OPPOSITES: Final = _pairs(
    "increase/decrease enable/disable open/close start/stop lock/unlock encrypt/decrypt "
    "install/uninstall import/export mount/unmount attach/detach compress/decompress "
    "subscribe/unsubscribe raise/lower activate/deactivate accept/reject allow/block connect/disconnect "
    "expand/collapse mute/unmute pin/unpin "
)
_DONE: Final = (
    "How do I {} the port?", "How do I {} notifications on my phone?",
    "Please {} the account for this customer",
    "What is the safest way to {} a volume on Linux?", "Why can I not {} the session?",
    "Can an administrator {} a shared folder?", "Write a function that can {} a channel",
)  # fmt: skip
_QUALITIES: Final = _pairs(
    "highest/lowest fastest/slowest best/worst largest/smallest oldest/newest cheapest/dearest "
    "longest/shortest first/last hottest/coldest most/least safest/riskiest earliest/latest "
    "strongest/weakest tallest/shortest "
)
_QUALIFIED: Final = (
    "Which country has the {} coastal region?", "What is the {} way from Rome to Naples?",
    "Name the {} popular sorting method", "Find the {} element of the list",
    "Show me the {} row in each group",
)  # fmt: skip
_SIDES: Final = (
    ("Should I stretch {} running?", ("before", "after", "while", "instead of")),
    ("How do I make pancakes {} eggs?", ("with", "without", "using only", "from leftover")),
    ("Is the port {} on the router?", ("open", "closed", "filtered", "hidden")),
    ("Is tea {} healthy than coffee?", ("more", "less", "no more", "much more")),
    ("How do I move the file {} the server?", ("to", "from", "into", "off", "within")),
    ("Do I need a passport {} a visa?", ("and", "or", "but not", "besides", "without")),
    ("Was {} elected in the second round?", ("he", "she", "they", "nobody", "everyone", "who")),
    ("Did {} students pass the exam?", ("all", "no", "some", "most", "any", "few", "many", "both",
        "half the")),
    ("Turn {} the lights in the hall", ("on", "off", "down", "up", "over")),
    ("Is the number {} forty acceptable?", ("above", "below", "at least", "at most", "exactly", "about",
        "over", "under")),
    ("{} I take this medicine with milk?", ("Can", "Should", "Must", "May", "Did", "Will", "Would",
        "Why do", "When do")),
    ("{} does the bakery sell rye bread?", ("How", "Why", "When", "Where", "To whom", "Since when",
        "How often")),
    ("{} the contract valid in Texas?", ("Is", "Was", "Will be", "Has been", "Why is", "When is",
        "When was")),
    ("Explain recursion to {}", ("a child", "an expert", "a five year old", "my boss", "a beginner",
        "a professor")),
    ("Write {} about autumn in Vermont", ("a haiku", "a sonnet", "an essay", "a story", "a limerick",
        "one line", "a novel")),
    ("Is {} bread good for diabetics?", ("white", "brown", "rye", "fresh", "stale", "gluten-free",
        "sweet", "whole")),
    ("Who is {} manager?", ("my", "your", "his", "her", "their", "Anna's", "our team's", "the store")),
    ("I am {} happy with the service.", ("very", "not", "hardly", "never", "un", "always", "rarely",
        "barely")),
    ("Explain the {} of the harbour treaty", ("causes", "effects", "terms", "authors", "costs",
        "benefits", "text")),
)  # fmt: skip
_NAMES: Final = (
    ("What is the capital of {}?", (
        "Peru", "Chile", "Norway", "Austria", "Australia", "Niger", "Nigeria", "North Korea",
        "South Korea", "Mali",
        "Malawi", "Iran", "Iraq", "Guinea", "Guinea-Bissau", "Congo", "Latvia", "Lithuania", "Slovakia",
        "Slovenia")),
    ("When was {} born?", (
        "Marie Curie", "Pierre Curie", "Albert Einstein", "Niels Bohr", "John Adams", "John Quincy Adams",
        "Henry V", "Henry VI", "Henry VIII", "George Bush", "George W. Bush", "Elizabeth I",
        "Elizabeth II")),
    ("How do I deploy a web app to {}?", (
        "AWS", "Azure", "GCP", "Heroku", "Vercel", "Netlify", "Fly", "Render", "Railway",
        "DigitalOcean", "OpenShift")),
    ("how do i reset my {} password", (
        "netflix", "gmail", "outlook", "spotify", "github", "gitlab", "twitter", "reddit", "paypal",
        "amazon", "yahoo")),
    ("What are the side effects of {}?", (
        "ibuprofen", "naproxen", "prednisone", "prednisolone", "hydroxyzine", "hydralazine", "celebrex",
        "celexa",
        "lamictal", "lamisil", "metformin", "warfarin")),
    ("Is {} a good stock to hold?", ("AAPL", "MSFT", "GOOG", "GOOGL", "AMZN", "TSLA", "META", "BRK.A",
        "BRK.B", "F", "T")),
    ("Which foods contain vitamin {}?", ("A", "B", "C", "D", "E", "K", "B6", "B12", "D3", "K2")),
    ("What treaty ended World War {}?", ("I", "II", "III", "1", "2")),
)  # fmt: skip
_BETWEEN: Final = (
    ("Does {} beat {} at chess?", ("Anna", "Boris", "Chen", "Dana", "Emil", "Farah")),
    ("Convert this table from {} to {}", ("CSV", "JSON", "XML", "YAML", "TOML", "Parquet")),
    ("How do I migrate from {} to {}?", ("Redux", "Zustand", "MobX", "Recoil", "Jotai")),
    ("Is {} faster than {}?", ("Rust", "Go", "Java", "Python", "Zig", "Lua")),
    ("How much is one {} in {}?", ("euro", "dollar", "yen", "peso", "krona")),
    ("Should {} come before {}?", ("dessert", "cheese", "coffee", "salad", "soup")),
    ("Who lent {} money, {}'s brother or nobody?", ("Ines", "Jonas", "Katya", "Liam")),
    ("Translate this letter from {} into {}", ("French", "German", "Dutch", "Czech", "Thai")),
    ("Fly from {} to {} with one stop", ("Oslo", "Madrid", "Quito", "Lagos", "Hanoi")),
    ("Subtract {} from {}", ("x", "y", "the mean", "the total", "the tax")),
    ("Is {} the parent class of {}?", ("Circle", "Shape", "Square", "Polygon")),
    ("dogs that chase {} and hate {}", ("cats", "squirrels", "cars", "birds")),
)  # fmt: skip
_VERSIONS: Final = (
    ("What is new in Python {}?", ("3.9", "3.10", "3.11", "3.12", "3.1", "2.7", "3", "3.11.1", "3.11.2")),
    ("How do I upgrade to Node v{}?", ("18", "20", "22", "18.1", "18.10", "20.0.0", "20.0.1")),
    ("What does HTTP status {} mean?", ("200", "201", "301", "302", "400", "401", "403", "404", "409",
        "429", "500", "503")),
    ("Does HTTP/{} use TCP?", ("1", "1.1", "2", "3")),
    ("Which port does {} use?", ("IPv4", "IPv6", "TLS1.2", "TLS1.3", "SSHv1", "SSHv2", "SMBv1", "SMBv3")),
    ("Is {} still secure?", ("SHA1", "SHA-1", "SHA256", "SHA-512", "MD5", "MD4", "AES-128", "AES-256",
        "RSA-2048")),
    ("Compare the iPhone 15 with the iPhone {}", ("12", "13", "14", "14 Pro", "14 Pro Max", "14 Plus",
        "SE")),
)  # fmt: skip
_TONGUES: Final = (
    "French", "German", "Spanish", "Italian", "Japanese", "Korean", "Arabic", "Hindi", "Polish",
    "Turkish", "Dutch",
)  # fmt: skip
_SAID: Final = (
    "Translate 'good morning' into {}", "How do you say thank you in {}?",
    "translate to {}: where is the station",
    "Write a birthday greeting in {}", "Is {} hard to learn for an adult?",
)  # fmt: skip
_CODES: Final = (
    "Python", "JavaScript", "Java", "TypeScript", "Rust", "Go", "C", "C++", "C#", "Ruby", "PHP",
    "Kotlin", "Swift", "R",
)  # fmt: skip
_CODED: Final = (
    "Write quicksort in {}",
    "How do I read a file in {}?",
    "in {}, how do I sort a map by value",
)
_WRITTEN: Final = (
    ("What does {} return?", (
        "`foo(x)`", "`Foo(x)`", "`foo(y)`", "`foo( x )`", "`foo(x, 1)`", "foo(x)", "Foo(x)", "bar(x)",
        "foo[x]")),
    ("Why does {} print False in Python?", (
        "1 == 2", "1 is 2", "1 != 1", "1 > 2", "1 >= 2", "2 < 1", "a == b", "A == b", "a and b",
        "not a", "'a' in b")),
    ("What does `x {} y` mean in C?", ("&", "&&", "|", "||", "==", "=", "!=", "<<", ">>", "->", "%",
        "^", "+=", "-=")),
    ("Delete the file {}", (
        "/etc/hosts", "/etc/host", "/srv/hosts", "/etc/hosts.bak", "./etc/hosts", "etc/hosts",
        "/etc/Hosts", "~/hosts")),
    ("Summarize https://example.com/{}", ("a", "b", "A", "a?page=1", "a?page=2", "a#top", "a/b", "")),
    ("Rename the variable {} in this module", ("userId", "userid", "user_id", "UserId", "USER_ID",
        "usersId", "_userId")),
    ('Reply with "{}" only', ("yes", "no", "Yes", "YES", "yes.", "yes sir", "the yes", " yes")),
    ("Fix the grammar: {}", (
        "he go to school", "he goes to school", "she go to school", "he go to a school",
        "he go to the school",
        "He go to school", "he go to school, now")),
    ("Explain the regex {}", ("^a+$", "^a*$", "^a?$", "a+$", "^a+", "^A+$", "^a+b$", "[a-z]+", "[A-Z]+",
        "[a-z]*")),
    ("Solve for x: {}", ("2x+3=7", "2x+3=8", "2x-3=7", "3x+2=7", "2x*3=7", "2x+3>7", "2y+3=7",
        "2(x+3)=7", "2x+3y=7")),
    ("Fix this code:\n```\n{}\n```", (
        "if a:\n    b()\nc()", "if a:\n    b()\n    c()", "if b:\n    a()\nc()", "if not a:\n    b()\nc()",
        "if A:\n    b()\nc()", "if a:\n    b(1)\nc()", 'if a:\n    b("")\nc()')),
    ("What is the plural of {}?", ("ox", "box", "mouse", "the mouse", "a mouse", "house", "goose",
        "moose")),
    ("How many letters are in {}?", ("word", "words", "a word", "the word", "Word count", "letter",
        "letters")),
)  # fmt: skip
_SCRIPTS: Final = (
    ("法国的首都是哪里", "德国的首都是哪里"), ("如何打开防火墙", "如何关闭防火墙"),
    ("東京から京都まで", "京都から東京まで"),
    ("猫は好きですか", "犬は好きですか"), ("서울의 날씨", "부산의 날씨"), ("二加二等于几", "二加三等于几"),
    ("Столица Франции", "Столица Италии"), ("Можно есть грибы", "Нельзя есть грибы"), ("क्या मैं जाऊँ",
        "क्या मैं आऊँ"),
    ("ما هي عاصمة فرنسا", "ما هي عاصمة ألمانيا"), ("Wo ist der Bahnhof", "Wo ist ein Bahnhof"), ("😀", "😡"),
    ("Ich denke an dich", "Ich denke dich"), ("elle a mangé le pain", "elle mangé le pain"),
        ("voy a casa", "voy casa"),
    ("Co a jak", "Co jak"), ("¿Puedo comer pan?", "¿No puedo comer pan?"), ("2²", "2³"), ("½ cup",
        "¼ cup"), ("x ≤ y", "x ≥ y"),
    ("What is the matter?", "What is matter?"), ("What is a credit score?", "What is my credit score?"),
    ("How do I feed a few cats daily?", "How do I feed few cats daily?"), ("What is 5!?", "What is 5?"),
    ("Can you help us?", "Can you help US?"), ("How do you store my data?", "How do I store my data?"),
    ("How do I compare red wine and beer in taste?", "How do I compare red beer and wine in taste?"),
    ("Did Anna beat Bob and Carl beat Dan?", "Did Anna beat Carl and Bob beat Dan?"),
    ("Can I claim damage in small claims court?", "Can I claim damages in small claims court?"),
    ("Is it just one page?", "Is it one page?"), ("List the planets", "List only the planets"),
    ("Who are you?", "Who am I?"), ("Polish the table", "the Polish table"), ("10-20", "10+20"), ("a-b",
        "a b"),
)  # fmt: skip
_SUMMED: Final = (
    "{}", "What is {}?", "what's {}", "Calculate {}", "Please compute {} step by step",
    "Why is {} not prime?",
)  # fmt: skip

_LAYOUTS: Final = (
    "{}:\na{}b",
    "{}:\n\na b\nc{}d e",
    "{}\nx = 1{}y = 2",
    "{}: one{}two",
    "Please {}:\n- a{}- b",
    "{}\n```\nf(){}g()\n```",
)
_LAID: Final = (
    "Add up every row",
    "Turn this table into JSON",
    "What does this print",
    "Sort the lines",
    "Fix the YAML",
    "How many lines has this",
    "Explain the script",
    "Count the gaps",
    "Is this Python valid",
)
_GAPS: Final = ("\n", " ", "  ", "\n ", "\n  ", "\n\n", "\t", "\n\t", " \n")
_GAPPED: Final = (
    ("What is the length of the string {}", ("a b", "a  b", "a   b", " a b")),
    ("How many spaces stand between {}", ("p and q", "p  and q", "p and  q")),
    ("Split the text {} at each blank", ("one two", "one  two", "one\ttwo")),
    ("How wide is the column {} in characters", ("ab cd", "ab  cd", "ab\u00a0cd")),
)
_BANGED: Final = (
    ("What does {} mean in Swift", ("value", "value!", "value?", "value??", "value.")),
    ("What does {} return in Ruby", ("nil?", "nil", "sort!", "sort", "sort?", "Sort")),
    ("Simplify {}", ("(n-1)!", "(n-1)", "(n-1)!!", "n!/k!", "n!/k", "n/k!", "k!/n!")),
    ("Find the last digit of {}", ("9", "9!", "9!!", "9.", "9?")),
    ("Explain {} in Rust", ("println!", "println", "assert!", "assert", "x?", "x", "x;")),
    ("Explain the method {}", ("destroy", "destroy!", "destroy?", "destroy.")),
    ("Does the regex {} match ab", ("ab", "ab.", "ab?", "a.b", "ab,", "ab!")),
    ("Is {} valid in C", ("int a", "int a;", "int a,", "int a;;", "1. + 2", "1 + 2", ".1 + 2")),
    ("What is the type of {} in Python", ("(2,)", "(2)", "2", "2.", "2,", "a, b", "a b", "a,", "a")),
    ("Open {}", ("https://x.org/c", "https://x.org/c?", "https://x.org/c.", "https://x.org/c!")),
    ("What is the sha1 of {}", ("Bye", "Bye!", "Bye.", "Bye?", "bye", "BYE")),
    ("Encode in base64 {}", ("Sun", "Sun!", "sun", "Sun.", "SUN", "Sun ")),
    ("Is it a question or a statement: {}", ("They left", "They left.", "They left?", "They left!")),
    ("Rate the sentiment of this: {}", ("We won", "We won!", "We won...", "We won!!!", "we won", "WE WON")),
)
_COMMAED: Final = (
    (
        "What is the price of {}",
        (
            "olive oil, corn and rice",
            "olive, oil, corn and rice",
            "olive oil corn and rice",
            "olive oil, corn, and rice",
        ),
    ),
    (
        "Is it safe to take {}",
        (
            "zinc oxide, iron and salt",
            "zinc, oxide iron and salt",
            "zinc oxide iron and salt",
            "zinc, oxide, iron and salt",
        ),
    ),
    (
        "Select {} from the table of people",
        ("first name, town and age", "first, name, town and age", "first name town and age"),
    ),
    ("What is {}", ("two plus six, times five", "two plus six times five", "two, plus six times five")),
    ("What is the root of {}", ("16, plus 9", "16 plus 9", "16, plus, 9")),
    ("Which are even of {}", ("2, 34", "2 34", "23, 4", "23 4")),
    ("{}", ("Should I not wait, run", "Should I not, wait run", "Should I not wait run")),
    (
        "Write a headline for {}",
        ("Mercy unlikely, to be hanged", "Mercy, unlikely to be hanged", "Mercy unlikely to be hanged"),
    ),
    ("My sister {} is a nurse. How many sisters do I have?", ("who works in Bonn", ", who works in Bonn,")),
    ("Did {} leave early?", ("Ann, my boss, and Bo", "Ann my boss and Bo", "Ann, my boss and Bo")),
    ("Can we eat{} grandma", ("", ",")),
)
_LEANING: Final = (
    "What is the set difference between {} and {}",
    "Write a function that returns the difference between {} and {}",
    "Give me the SQL for the difference between {} and {} in hours",
    "Show the difference between {} and {} in git",
    "What is the signed difference between {} and {}",
    "What is the price difference between {} and {}",
    "What is the percentage difference between {} and {}",
    "What is the difference between {} and {} in percent",
    "Which comes first, {} or {}",
    "Which should I name second, {} or {}",
    "{} vs {}: who is the first named?",
    "Print the difference between {} and {}",
    "Repeat the choice between {} and {}",
)
_LEANT: Final = (
    ("A", "B"),
    ("x", "y"),
    ("begin", "finish"),
    ("main", "feature"),
    ("wages", "expenses"),
    ("Oslo", "Lima"),
)
_ARTICLED: Final = (
    ("Solve {} for z", ("a z^2 + c = 0", "z^2 + c = 0", "the z^2 + c = 0")),
    ("Solve {} if all are whole", ("a z equals c", "z equals c")),
    (
        "{} scale notes for the flute",
        ("A minor", "minor", "a minor", "The minor", "A major", "A flat", "major"),
    ),
    (
        "How do I play {} chord on the piano",
        ("a minor", "the minor", "A minor", "minor", "an A minor", "a major"),
    ),
    ("Give me {} number of factors of 96", ("a", "the", "any", "one")),
    ("Who stars in {} of 2010", ("The Crazies", "Crazies", "the Crazies", "A Crazies")),
    ("Summarize the book {} by Wells", ("The Time Machine", "Time Machine", "the Time Machine")),
    (
        "When was {} first shown on television",
        ("The Office", "Office", "the Office", "the office", "an office"),
    ),
    ("Write the md5 of {}", ("the sun rose late", "sun rose late", "a sun rose late")),
    ("Is {} enough for all of the guests", ("a cake", "the cake", "cake")),
    ("It is out of {} for the whole team", ("the question", "question", "a question")),
)
_CAPITALS: Final = (
    ("What is the md5 of {}", ("Moon", "moon", "MOON")),
    ("Is {} a strong password", ("QWERTZ", "qwertz", "Qwertz")),
    ("What is {} in Java", ("Double", "double", "DOUBLE")),
    ("Explain {} in C++", ("Auto", "auto", "AUTO", "NULL", "null", "True", "true")),
    ("How do I rename {} in git", ("Bar to bar", "bar to Bar", "BAR to bar", "bar to BAR")),
    ("Where do I put the {} file", ("LICENSE", "license", "License")),
    ("How do I start with {} this year", ("Spring", "spring", "Ember", "ember", "Flask", "flask")),
    ("How much does {} cost", ("Sage", "sage", "Slack", "slack", "an Opal", "an opal")),
    ("Where is the best view of {}", ("Cork", "cork", "Split", "split", "Nice", "nice", "Bath", "bath")),
    ("How long is {}", ("Frozen", "frozen", "the Rock", "the rock", "Up", "up", "Her", "her")),
    ("How do I feed a {}", ("Python", "python", "Jaguar", "jaguar", "Cougar", "cougar")),
    ("What does an {} nurse earn", ("OR", "or", "ER", "er", "Or")),
    ("How is {} treated by doctors", ("ME", "me", "AIDS", "aids", "MS", "ms")),
    ("How does the {} bus work", ("CAN", "can", "Can")),
    ("{} guidelines for water", ("WHO", "who", "IT", "it", "US", "us")),
    ("Was bedeutet {}", ("Arm", "arm", "Reich", "reich", "Laut", "laut")),
    ("Kommen {} morgen", ("Sie", "sie", "Ihr", "ihr")),
)
_ABLE: Final = (
    "feed garlic to a cat",
    "add two indexes to a view",
    "write to a full disk in Go",
    "create a class in C",
    "build a shed without a permit in Ohio",
    "find a prime above any prime",
    "fix a broken promise in JavaScript",
    "recommend this town to families",
    "make a heap in linear time",
    "draw a square with three sides",
    "open a jar without a lid",
)
_ABLY: Final = (
    "Can you {}",
    "Could you {}",
    "Would you {}",
    "Will you {}",
    "can you {}?",
    "Do you know how to {}",
)
_STATES: Final = (
    "look",
    "sound in this",
    "rank among my peers",
    "know that it is over",
    "compare to the others",
    "feel in the morning",
    "use so much power",
    "have a fever",
    "lose the thread",
    "smell after a run",
    "affect the climate",
    "score in the test",
    "owe so much",
    "violate the rule",
    "differ from my twin",
)
_STATED: Final = ("How do I {}", "How to {}", "How can I {}", "How could I {}", "What is the best way to {}")


def _reviewed() -> Iterator[tuple[str, str, str]]:
    """Families that a reviewer of the first guards found: none of them had been among these pairs."""
    for template, said in product(_LAYOUTS, _LAID):
        for one, other in permutations(_GAPS, 2):
            yield "layout", template.format(said, one), template.format(said, other)
    yield from _filled("layout", _GAPPED)
    yield from _filled("stop", _BANGED)
    yield from _filled("comma", _COMMAED)
    for template, (one, other) in product(_LEANING, _LEANT):
        yield "swapped", template.format(one, other), template.format(other, one)
        yield "swapped", template.format(other, one), template.format(one, other)
    yield from _filled("article", _ARTICLED)
    yield from _filled("capital", _CAPITALS)
    for asked, act in product(_ABLY, _ABLE):
        yield "manners", asked.format(act), act[:1].upper() + act[1:]
        yield "manners", act, asked.format(act)
    for state in _STATES:
        for one, other in permutations(_STATED, 2):
            yield "manners", one.format(state), other.format(state)


_WRAPS: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: text,
    lambda text: f"Please {text[:1].lower() + text[1:]}",
    lambda text: f"{text.rstrip('?.')}, thanks!",
    lambda text: f"Hi, {text[:1].lower() + text[1:]}",
    lambda text: f"  {text} ",
    lambda text: text.rstrip("?.") + ", please",
)
"""Harmless changes put upon every other prompt, so that a difference is not judged alone."""


def near_misses() -> list[Pair]:
    """Pairs whose answers differ, some nineteen thousand."""
    pairs: list[Pair] = []
    for family, asked, kept in _missed():
        whole = "\n" in kept or family == "stop"  # manners would take the stop that differs
        wrap = _WRAPS[0] if whole else _WRAPS[len(pairs) % len(_WRAPS)]
        pairs.append(Pair(family, asked, wrap(kept), kept))
    return pairs


def _missed() -> Iterator[tuple[str, str, str]]:
    for template in _NUMBERED:
        for (one, value), (other, differs) in permutations(_NUMBERS, 2):
            if value != differs:
                yield "number", template.format(one), template.format(other)
    yield from _filled("unit", _UNITS)
    yield from _filled("date", _DATES)
    for action in _ACTIONS:
        for plain, denied in _NEGATED:
            yield "negation", plain.format(action), denied.format(action)
            yield "negation", denied.format(action), plain.format(action)
    for template in _DONE:
        for one, other in _OPPOSITES:
            yield "antonym", template.format(one), template.format(other)
            yield "antonym", template.format(other), template.format(one)
    for template in _QUALIFIED:
        for one, other in _QUALITIES:
            yield "antonym", template.format(one), template.format(other)
            yield "antonym", template.format(other), template.format(one)
    yield from _filled("word", _SIDES)
    yield from _filled("entity", _NAMES)
    for template, names in _BETWEEN:
        for one, other in permutations(names, 2):
            yield "order", template.format(one, other), template.format(other, one)
    yield from _filled("version", _VERSIONS)
    yield from _filled("language", [(template, _TONGUES) for template in _SAID])
    yield from _filled("language", [(template, _CODES) for template in _CODED])
    yield from _filled("code", _WRITTEN)
    for one, other in _SCRIPTS:
        yield "script", one, other
        yield "script", other, one
    yield from _sums()
    yield from _reviewed()


def _filled(family: str, slots: Sequence[tuple[str, Sequence[str]]]) -> Iterator[tuple[str, str, str]]:
    for template, words in slots:
        for one, other in permutations(words, 2):
            if (one, other) not in _EQUAL and (other, one) not in _EQUAL:
                yield family, template.format(one), template.format(other)


_EQUAL: Final = frozenset(
    {("Monday", "Mon"), ("I", "1"), ("II", "2"), ("SHA1", "SHA-1"), ("200 C", "200°C"), ("200 F", "200°F")}
)
"""Of the words above, those that say the same."""


def _sums() -> Iterator[tuple[str, str, str]]:
    sums = [f"{a}{op}{b}" for a in (2, 3, 12) for op in "+-*/" for b in (2, 3, 7)]
    for at, (one, other) in enumerate(combinations(sums, 2)):
        for template in _SUMMED:
            spaced = " ".join(other) if at % 2 and "12" not in other else other
            yield "sum", template.format(one), template.format(spaced)


_BASES: Final = (
    "How do I sort a list of tuples by the second value in Python?",
    "What is the difference between a mutex and a semaphore?",
    "Explain how the water cycle works",
    "Write a short poem about the harbor of Lisbon",
    "List 3 reasons why the Roman Empire fell",
    "Why don't penguins fly?",
    "What's the boiling point of water at 2,000 meters?",
    "Give me a recipe for banana bread with 2 eggs",
    "What does the error 'connection refused' mean?",
    "How can I undo the last commit in git?",
    "Summarize the plot of Hamlet in 5 sentences",
    "Is it safe to eat raw cookie dough?",
    "Compare the economy of Norway with the economy of Sweden",
    "Which planets have no moons?",
    "Convert 12 miles to kilometers",
    "I can't connect to the printer. What should I check first?",
    "Write a SQL query that counts the users of each country",
    "Who wrote the novel 'Middlemarch'?",
    "What are the symptoms of a mild concussion?",
    "How many players are in a volleyball team?",
    "Create a workout plan for 4 days a week",
    "Describe the architecture of a typical compiler",
    "What is the capital of Burkina Faso?",
    "How do I organise a small wedding on a budget?",
    "Isn't a tomato a fruit?",
    "Draft an email to a landlord about a broken heater",
    "What happens if I do not file my taxes on time?",
    "Name the 7 wonders of the ancient world",
    "Show me how to center a div horizontally in CSS",
    "Tell me what the GDP of a country measures",
)

_REWORDED: Final[dict[str, Callable[[str], str]]] = {
    "whitespace": lambda t: "  " + t.replace(" ", "  ") + "\n",
    "line break": lambda t: t.replace(" ", "\n", 1),
    "first word's case": lambda t: t[:1].lower() + t[1:],
    "last stop": lambda t: t.rstrip("?.!") if t[-1] in "?.!" else t + ".",
    "please before": lambda t: f"Please {t[:1].lower() + t[1:]}",
    "please behind": lambda t: f"{t.rstrip('?.')} please",
    "please, behind a comma": lambda t: f"{t.rstrip('?.')}, please?",
    "greeting": lambda t: f"Hi, {t[:1].lower() + t[1:]}",
    "good morning and thanks": lambda t: f"Good morning! {t.rstrip('?.')}. Thanks a lot!",
    "thank you behind": lambda t: f"{t.rstrip('?.')}, thank you.",
    "could you please": lambda t: f"Could you please {t[:1].lower() + t[1:]}",
    "contraction undone": lambda t: t.replace("don't", "do not").replace("What's", "What is").replace(
        "can't", "cannot").replace("Isn't", "Is not"),
    "contraction made": lambda t: t.replace("What is", "What's").replace("do not", "don't"),
    "apostrophe curled": lambda t: t.replace("'", "\u2019"),
    "number spelled": lambda t: t.replace(" 2 ", " two ").replace(" 3 ", " three ").replace(" 4 ",
    " four ").replace(
        " 5 ", " five ").replace(" 7 ", " seven ").replace(" 12 ", " twelve "),
    "thousands without comma": lambda t: t.replace("2,000", "2000"),
    "quotes doubled": lambda t: t.replace(" '", ' "').replace("' ", '" ').replace("'?", '"?'),
    "quotes curled": lambda t: t.replace(" '", " \u201c").replace("' ", "\u201d ").replace("'?", "\u201d?"),
    "article left out": lambda t: t.replace(" the ", " ", 1),
    "a for the": lambda t: t.replace(" the ", " a ", 1),
    "all lower case": lambda t: t.lower(),
    "British spelling": lambda t: t.replace("harbor", "harbour").replace("center", "centre").replace(
        "kilometers", "kilometres").replace("meters", "metres"),
    "American spelling": lambda t: t.replace("organise", "organize").replace("Summarize", "Summarise"),
    "how to": lambda t: t.replace("How do I", "How to").replace("How can I", "How to"),
    "the best way": lambda t: t.replace("How do I", "What is the best way to").replace(
        "How can I", "What is the best way to"),
    "really": lambda t: t.replace("Is it ", "Is it really "),
}  # fmt: skip


def equivalents() -> list[Pair]:
    """Pairs with one answer, some five hundred; a change that leaves its prompt as it was makes none."""
    return [
        Pair(family, text, reworded, text)
        for family, reword in _REWORDED.items()
        for text in _BASES
        if (reworded := reword(text)) != text
        and not (family == "could you please" and text.split()[0] not in _ASKS)
    ]


_ASKS: Final = frozenset(("Explain", "Write", "List", "Give", "Summarize", "Compare", "Convert",
    "Create", "Describe",
                          "Draft", "Name", "Show", "Tell"))  # fmt: skip
