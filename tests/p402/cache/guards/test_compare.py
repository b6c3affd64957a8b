"""Words of two prompts agree where one answer may serve both; in doubt they do not."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from p402.cache.guards import compare, disagreement, read
from p402.cache.guards.frames import HOW_TO, WORKS
from p402.cache.guards.lexicon import TECHNICAL

SPICED = (
    "how do I please thanks the a an not don't can't 2 two twenty five 3.11 5mg 5 mg $5 % Python `foo` 'a b' "
    '"x  y" between and or vs , ; : ? ! . ``` \n \t is are what difference differ from explain works in '
    "using really Hi, hello you could mind explaining US us foo_bar /etc/hosts C++ word translate now ü "
    "中文 ' ` \" \0 0 \u0301 \ud800 ² ½ 1,000 hundred non- one no"
)
PLAIN = (
    "how why do i we can sort prune wash the a my your every red old list cats dogs rivers in of with 2 two "
    "3.5 5mg not don't really please, python, Rome, to from and (see) it's x+y"
)
NAMED = "sort prune wash red cats dogs rivers in with python rome to from"
PIECES = st.sampled_from(SPICED.split(" ")) | st.text(max_size=4)
GAPS = st.sampled_from([" ", " ", " ", "", "\n", "  "])
TEXTS = st.lists(st.tuples(PIECES, GAPS), max_size=16).map(lambda found: "".join(p + g for p, g in found))
BREAKS = ["\n", "\t", "\n    ", "   "]
WORDS = st.lists(st.sampled_from(PLAIN.split()), min_size=1, max_size=14)


@given(TEXTS)
@settings(max_examples=400)
def test_a_text_never_disagrees_with_itself(text):
    assert disagreement(text, text) is None


@given(WORDS, st.sampled_from(["", " ", "  ", "\n"]), st.booleans(), st.booleans())
@settings(max_examples=400)
def test_blanks_about_a_question_its_mark_and_its_first_capital_are_nothing(words, blanks, marked, upper):
    text = f"why on earth {' '.join(words)} happens"
    other = f"{blanks}{'Why' if upper else 'why'}{text[3:]}{'?' if marked else ''}{blanks}"
    assert TECHNICAL.isdisjoint(words) is False or disagreement(text, other) is None


@given(TEXTS, st.data())
@settings(max_examples=400)
def test_a_line_break_or_a_gap_within_a_text_refuses(text, data):
    text = f"what {text} is"
    at = data.draw(st.integers(2, len(text) - 2))
    assert disagreement(text, f"{text[:at]}{data.draw(st.sampled_from(BREAKS))}{text[at:]}") is not None


@given(WORDS, st.integers(0, 13), st.sampled_from([",", ";", "!", ":", "'", '"', ")"]))
@settings(max_examples=300)
def test_a_sign_more_within_a_line_refuses(words, at, sign):
    words = ["explain", *words, "here"]
    at = min(at + 1, len(words) - 2)
    longer = [*words[:at], words[at] + sign, *words[at + 1 :]]
    assert disagreement(" ".join(words), " ".join(longer)) is not None


@given(WORDS, st.integers(0, 13))
@settings(max_examples=300)
def test_a_capital_within_a_line_refuses(words, at):
    words = ["explain", *words, "here"]
    at = min(at + 1, len(words) - 2)
    other = [*words[:at], words[at].swapcase(), *words[at + 1 :]]
    assert other == words or disagreement(" ".join(words), " ".join(other)) is not None


@given(WORDS, st.integers(0, 13), st.sampled_from(["a", "the"]))
@settings(max_examples=300)
def test_an_article_more_refuses(words, at, article):
    longer = ["explain", *words[:at], article, *words[at:]]
    assert disagreement(" ".join(["explain", *words]), " ".join(longer)) is not None


@given(TEXTS, TEXTS)
@settings(max_examples=600)
@example("a", "")
@example("", "?")
def test_it_is_symmetric(one, other):
    assert disagreement(one, other) == disagreement(other, one)


@given(WORDS, st.integers(0, 13), st.sampled_from(["lion", "7", "never", "Oslo", "§", "木"]))
@settings(max_examples=300)
def test_a_word_more_refuses(words, at, word):
    longer = [*words[:at], word, *words[at:]]
    assert disagreement(" ".join(words), " ".join(longer)) is not None


@given(st.lists(st.sampled_from(NAMED.split()),
                min_size=2, max_size=9, unique=True), st.data())  # fmt: skip
def test_two_words_exchanged_refuse(words, data):
    one, other = data.draw(st.lists(st.integers(0, len(words) - 1), min_size=2, max_size=2, unique=True))
    swapped = list(words)
    swapped[one], swapped[other] = words[other], words[one]
    assert disagreement(f"explain {' '.join(words)}", f"explain {' '.join(swapped)}") == "order"


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=20), st.data())
def test_one_chinese_character_for_another_refuses(text, data):
    at = data.draw(st.integers(0, len(text) - 1))
    other = text[:at] + ("天" if text[at] != "天" else "地") + text[at + 1 :]
    assert disagreement(text, other) is not None


@pytest.mark.parametrize(
    ("asked", "kept", "guard"),
    [
        ("What is 2+2?", "What is 2+3?", "numbers"),
        ("What is 2+2?", "What is 2*2?", "numbers"),
        ("Take 5 mg of it", "Take 5 g of it", "numbers"),
        ("Is it open in May?", "Is it open in June?", "numbers"),
        ("What is new in Python 3.11?", "What is new in Python 3.12?", "numbers"),
        ("Give me two reasons", "Give me three reasons", "numbers"),
        ("Should I reuse it?", "Should I not reuse it?", "negation"),
        ("Is it safe to eat raw?", "Is it unsafe to eat raw?", "negation"),
        ("Run it with root rights", "Run it without root rights", "negation"),
        ("Is port 22 open on it?", "Is port 22 closed on it?", "antonyms"),
        ("Should I stretch before a run?", "Should I stretch after a run?", "antonyms"),
        ("Fly to Rome tonight", "Fly from Rome tonight", "antonyms"),
        ("Where was Marie Curie born?", "Where was Pierre Curie born?", "entities"),
        ("translate it into French", "translate it into German", "entities"),
        ("What does `foo` return?", "What does `bar` return?", "entities"),
        ("Does Anna beat Boris?", "Does Boris beat Anna?", "order"),
        ("What does `foo` return?", "What does `Foo` return?", "order"),
        ("How do I wash a carpet?", "How do I wash a blanket?", "substitution"),
        ("Is she a lawyer here?", "Is she a young lawyer here?", "antonyms"),
        ("Is she a lawyer here?", "Is she a famous lawyer here?", "substitution"),
    ],
)
def test_the_guard_that_refuses_is_named(asked, kept, guard):
    assert disagreement(asked, kept) == guard


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("What is the difference between TCP and UDP?", "what's the difference between TCP and UDP"),
        ("How do I rename a git branch?", "Please show me how to rename a git branch. Thanks!"),
        ("How do I reset my password?", "How can I reset my password?"),
        ("How do I reset my password?", "What is the way to reset my password?"),
        ("How does compound interest work?", "Could you please explain how compound interest works?"),
        ("What is the tallest tree in Norway?", "Hey, what's the tallest tree in Norway, please?"),
        ("Convert 72 F to Celsius", "Please convert 72 F to Celsius, thank you."),
        ("Suggest 5 herbs that like the shade", "could you please suggest 5 herbs that like the shade?"),
        ("Why don\u2019t spiders stick to a web", "Why do not spiders stick to a web?"),
        ("Tell me what the GDP measures", "Hi, please tell me what the GDP measures, thank you."),
    ],
)
def test_ways_of_asking_are_one(asked, kept):
    assert disagreement(asked, kept) is None


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("Is it the difference between May and June?", "Is it the difference between June and May?"),
        ("How many sales fell between May and June?",
         "How many sales fell between June and May?"),
        ("Calculate the difference between pay and cost", "Calculate the difference between cost and pay"),
        ("How do we digest milk in the gut?", "How to digest milk in the gut?"),
        ("What does echo '$HOME' print?", 'What does echo "$HOME" print?'),
        ("What type has 'a' in the C language?", 'What type has "a" in the C language?'),
        ("What does cd .. do", "What does cd . do"),
        ("Explain cd ..", "Explain cd"),
        ("Delete foo/.. for good", "Delete foo/ for good"),
        ("Explain the regex (ab)?", "Explain the regex (ab)"),
        ("Die Maße der Kiste", "Die Masse der Kiste"),
        ("Listing prices in the city of Rome", "List prices in the city of Rome"),
        ("How would I look with short hair?", "How do I look with short hair?"),
        ("Is it not really safe to swim there?", "Is it not safe to swim there?"),
        ("What is a purchase order in that trade?", "What is a buy order in that trade?"),
        ("Should I sign the email with cheers", "Should I sign the email with thanks"),
        ("When was Love Actually released?", "When was Love released?"),
        ("I saw a man-eating shark there", "I saw a man eating shark there"),
        ("Pay with 20 five dollar bills", "Pay with 25 dollar bills"),
        ("No, one can eat it raw", "No one can eat it raw"),
        ("What does ; mean here", "What does : mean here"),
        ("What is the difference between ; and :?", "What is the difference between ; and .?"),
        ("How many words has the cat sat on the mat", "How many words has the cat sat on mat"),
        ("How can someone hack my account?", "How can I hack my account?"),
        ("Is 5 mW much for a laser?", "Is 5 MW much for a laser?"),
        ("split it on ' '", "split it on '  '"),
        ("Fix it:\nif a:\n  b()\nc()", "Fix it:\nif a:\n  b()\n  c()"),
        ("Which students read the most books of all?", "Which students read most books of all?"),
    ],
)  # fmt: skip
def test_what_looks_harmless_and_is_not_refuses(asked, kept):
    assert disagreement(asked, kept) is not None


OPENED = ["", "how to ", "how do I ", "how can I ", "explain how ", "how does "]
ENDED = [("reset the ", ""), ("", " works"), ("", " work"), ("", "")]
BLANKS = [
    "\u2003",
    "\u00a0",
    "\u3000",
    "\u2028",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x1f",
    "\x85",
    "\t",
    "\r",
]


@given(WORDS, st.sampled_from(OPENED), st.sampled_from(ENDED))
@example(["my", "router"], "how do I ", ("reset the ", ""))
@example(["the", "router"], "how does ", ("", " work"))
@settings(max_examples=400)
def test_no_other_sentence_has_the_form_of_a_frame(words, opening, about):
    kind, *form = read(f"{opening}{about[0]}{' '.join(words)}{about[1]}").form
    if kind != "exact" and form[0] in {HOW_TO, WORKS}:
        assert "\0" not in "".join(form[1:])
        for told in (" ".join(form), " ".join(form).replace("\0", "")):
            again = read(told).form
            assert again[0] == "exact" or again[1:] != tuple(form)


@given(TEXTS)
@settings(max_examples=400)
def test_what_is_no_frame_has_no_mark(text):
    kind, *form = read(f"how {text}").form
    assert kind == "exact" or [piece for piece in form if "\0" in piece] in ([], [HOW_TO], [WORKS])


def test_frames_are_marked():
    assert read("How do I reset my password?").form[1] == HOW_TO
    assert read("How does a pump work?").form[1] == WORKS


@given(WORDS, st.sampled_from(BLANKS))
def test_blanks_that_no_line_ends_with_count(words, blank):
    text = f"explain {' '.join(words)} here"
    assert disagreement(text, text + blank) is not None
    assert disagreement(text, blank + text) is not None


@pytest.mark.parametrize(
    "manner", ["HI, {}", "PLEASE {}", "{}, THANKS", "{}, PLEASE", "HEY! {}", "{}. Thank YOU"]
)
def test_upper_case_is_never_a_manner(manner):
    assert disagreement("how do bats hunt", manner.format("how do bats hunt")) is not None


def test_a_kept_text_need_not_be_read_twice():
    asked, kept = read("Name two rivers of Peru"), read("Name three rivers of Peru")
    assert compare(asked, kept) == "numbers"
    assert compare(asked, read("name two rivers of Peru, please")) is None


def test_a_text_beyond_the_longest_agrees_with_itself_only():
    long = ("please sort the list of cats " * 400).strip()
    assert disagreement(long, long) is None
    assert disagreement(long, long + ".") is not None
