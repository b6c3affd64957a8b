"""Pairs that a reviewer of 2026-11-26 found to pass though their right answers differ: family by family.

Lists only, and none may go. Where the reviewer gave a name alone, a question is put about it.
"""

from typing import Final

LAYOUT: Final = (
    ("Sum each row:\n1 2\n3 4", "Sum each row:\n1 2 3 4"),
    ("Convert this CSV to JSON:\na,b\n1,2\n3,4", "Convert this CSV to JSON:\na,b\n1,2 3,4"),
    (
        "What does this print:\nfor i in range(3): pass\nprint(i)",
        "What does this print:\nfor i in range(3): pass\n    print(i)",
    ),
    (
        "What does it print?\nx = 5\nif x > 3: x = 1\nprint(x)",
        "What does it print?\nx = 5\nif x > 3: x = 1\n  print(x)",
    ),
    ("Is this Python ok\nx = 1\n y = 2", "Is this Python ok\nx = 1\ny = 2"),
    ("Is this Python ok\ny = 1\nx = 2", "Is this Python ok\ny = 1 x = 2"),
    ("Fix the YAML\na:\n- b\n- c", "Fix the YAML\na: - b - c"),
    ("Parse this:\nkey: a\n b: c", "Parse this:\nkey: a\n key: a b: c"),
    ("Sort these lines:\nb c\na", "Sort these lines:\nb\nc a"),
    ("How many lines are there:\na\nb", "How many lines are there:\na b"),
    ("Run\necho a # b\nrm c", "Run\necho a # b rm c"),
    ("Explain\n// a\nb()", "Explain\n// a b()"),
    ("Count the spaces in: a  b c", "Count the spaces in: a b  c"),
    ("What is the length of the string a  b", "What is the length of the string a b"),
)

STOPS: Final = (
    ("Simplify (n+1)!/n!", "Simplify (n+1)!/n"),
    ("Find the last digit of 7!!", "Find the last digit of 7!"),
    ("What does int? mean in C#", "What does int mean in C#"),
    ("What does string? mean in C#", "What does string mean in C#"),
    ("What is x? in TypeScript", "What is x in TypeScript"),
    ("What does save! do in Rails", "What does save do in Rails"),
    ("What does update! do in Rails", "What does update do in Rails"),
    ("What does panic! do in Rust", "What does panic do in Rust"),
    ("Explain vec! in Rust", "Explain vec in Rust"),
    ("Difference between map! and map in Ruby", "Difference between map and map! in Ruby"),
    ("What does empty? return in Ruby", "What does empty return in Ruby"),
    ("Explain user? in Ruby", "Explain user in Ruby"),
    ("Is int x; valid C", "Is int x valid C"),
    ("What is 1. / 2 in C", "What is 1 / 2 in C"),
    ("Is 5. a float in Python", "Is 5 a float in Python"),
    ("What does x, = y do in Python", "What does x = y do in Python"),
    ("What does a, b = b, a do", "What does a b = b a do"),
    ("What is the type of x, if x = 1,", "What is the type of x if x = 1"),
    ("What is (1,) in Python", "What is (1) in Python"),
    ("What does the regex a. match", "What does the regex a match"),
    (
        "Is this a question or a statement: You're coming?",
        "Is this a question or a statement: You're coming.",
    ),
    (
        "Classify as question or statement: You are coming?",
        "Classify as question or statement: You are coming.",
    ),
    (
        "Rate the sentiment from 0 to 10: I got the job!!!",
        "Rate the sentiment from 0 to 10: I got the job...",
    ),
    ("open https://a.com/b?", "open https://a.com/b"),
    ("md5 of Hello!", "md5 of Hello"),
    ("sha256 of hello world.", "sha256 of hello world"),
)

COMMAS: Final = (
    (
        "How many calories in peanut butter, jelly and bread",
        "How many calories in peanut, butter, jelly and bread",
    ),
    ("Recipe with chicken, stock and rice", "Recipe with chicken stock and rice"),
    ("What is the cost of chocolate, milk and eggs", "What is the cost of chocolate milk and eggs"),
    ("Interactions between sodium chloride, potassium", "Interactions between sodium, chloride potassium"),
    ("Side effects of lithium, carbonate and sodium", "Side effects of lithium carbonate and sodium"),
    ("Can I mix bleach, ammonia water and vinegar", "Can I mix bleach ammonia, water and vinegar"),
    (
        "Write SQL to select first name, last name and city",
        "Write SQL to select first, name last, name and city",
    ),
    ("What is three plus four, times two", "What is three plus four times two"),
    ("What is 8 divided by 2, times 4", "What is 8 divided by 2 times 4"),
    ("What is the square root of 9, plus 16", "What is the square root of 9 plus 16"),
    ("Which of these numbers are prime 1, 23", "Which of these numbers are prime 1 23"),
    ("Add one hundred, five", "Add one hundred five"),
    ("Pardon impossible, to be executed", "Pardon, impossible to be executed"),
    ("Should I not stop, go", "Should I not, stop go"),
    (
        "My brother, who lives in Rome, is tall. How many brothers do I have?",
        "My brother who lives in Rome is tall. How many brothers do I have?",
    ),
)

SWAPPED: Final = (
    ("What is the set difference between A and B", "What is the set difference between B and A"),
    (
        "Write a Python function that returns the difference between a and b",
        "Write a Python function that returns the difference between b and a",
    ),
    (
        "SQL expression for the difference between start and end in days",
        "SQL expression for the difference between end and start in days",
    ),
    (
        "Show the difference between staging and production in git",
        "Show the difference between production and staging in git",
    ),
    (
        "What is the signed difference between a and b in C",
        "What is the signed difference between b and a in C",
    ),
    (
        "Write an expression for the difference between x and y",
        "Write an expression for the difference between y and x",
    ),
    (
        "What is the percentage difference between cost and price",
        "What is the percentage difference between price and cost",
    ),
    (
        "What is the time difference between London and Tokyo",
        "What is the time difference between Tokyo and London",
    ),
    ("If x=1 and y=2 which comes first, x or y", "If x=1 and y=2 which comes first, y or x"),
)

ARTICLES: Final = (
    ("Solve a x^2 + b = 0 for x", "Solve x^2 + b = 0 for x"),
    ("Solve a x equals b for x", "Solve x equals b for x"),
    ("A minor scale notes on piano for beginners", "minor scale notes on piano for beginners"),
    ("A major scale notes on piano for beginners", "major scale notes on piano for beginners"),
    ("Write a melody in the key of a minor on guitar", "Write a melody in the key of minor on guitar"),
    ("How do I play a minor chord on guitar", "How do I play the minor chord on guitar"),
    ("Give me a number of prime divisors of 360", "Give me the number of prime divisors of 360"),
    ("Who stars in The Suicide Squad of DC", "Who stars in Suicide Squad of DC"),
    ("Who directed the film The Final Destination", "Who directed the film Final Destination"),
    ("Who directed the film The Predator", "Who directed the film Predator"),
    ("Summarize the book The Stand by King", "Summarize the book Stand by King"),
    ("Who stars in The Fast and the Furious", "Who stars in Fast and Furious"),
    ("sha1 of the cat sat on mat quickly", "sha1 of cat sat on mat quickly"),
)

CASES: Final = (
    ("sha256 of Hello", "sha256 of hello"),
    ("md5 of HELLO", "md5 of hello"),
    ("base64 of Hello", "base64 of hello"),
    ("Is password ABCDEF strong", "Is password abcdef strong"),
    ("Reverse Hello", "Reverse hello"),
    ("What is String in TypeScript", "What is string in TypeScript"),
    ("What is Long in Java", "What is long in Java"),
    ("What is Int in Kotlin", "What is int in Kotlin"),
    ("What is NULL in C", "What is null in C"),
    ("What is None in Python", "What is none in Python"),
    ("What is True in Python", "What is true in Python"),
    ("What is Map in JavaScript", "What is map in JavaScript"),
    ("How do I rename Foo to foo in git", "How do I rename foo to Foo in git"),
    ("How do I convert HELLO to hello in Python", "How do I convert hello to HELLO in Python"),
    ("Where is the README file", "Where is the readme file"),
    ("How do I learn Spring at home", "How do I learn spring at home"),
    ("How do I start with Scratch", "How do I start with scratch"),
    ("What is the price of Sage", "What is the price of sage"),
    ("How do I get a Visa for travel", "How do I get a visa for travel"),
    ("How fast is a Jaguar", "How fast is a jaguar"),
    ("How long does a Beetle live", "How long does a beetle live"),
    ("Where does Cork come from", "Where does cork come from"),
    ("How long is the ferry to Split", "How long is the ferry to split"),
    ("How long can I watch Frozen", "How long can I watch frozen"),
    ("Where were Friends filmed", "Where were friends filmed"),
    ("How tall is the Rock", "How tall is the rock"),
    ("How do I install a Spark", "How do I install a spark"),
    ("How do I get Lean", "How do I get lean"),
    ("How big is the Galaxy", "How big is the galaxy"),
    ("How do I feed a Python", "How do I feed a python"),
    ("What does an Office cost", "What does an office cost"),
    ("What does an OR nurse do", "What does an or nurse do"),
    ("How is ME treated", "How is me treated"),
    ("How does the CAN bus work", "How does the can bus work"),
    ("What does AND do in SQL", "What does and do in SQL"),
    ("WHO guidelines", "who guidelines"),
    ("SAT average", "sat average"),
    ("Was bedeutet Weg", "Was bedeutet weg"),
    ("Was wollen Sie", "Was wollen sie"),
    ("Was ist Essen", "Was ist essen"),
)

MANNERS: Final = (
    ("Can you give ibuprofen to a dog", "Give ibuprofen to a dog"),
    ("Can you create two primary keys in SQL", "Create two primary keys in SQL"),
    ("Can you write to a closed socket in C", "Write to a closed socket in C"),
    (
        "Can you build a house without planning permission in the UK?",
        "Build a house without planning permission in the UK?",
    ),
    ("Would you recommend Python to kids", "Recommend Python to kids"),
    ("Do you know how GPT works", "how GPT works"),
    ("How do I look", "How to look"),
    ("How could I have failed the exam", "How to have failed the exam"),
)

FAMILIES: Final = {
    "layout": LAYOUT,
    "stops": STOPS,
    "commas": COMMAS,
    "swapped": SWAPPED,
    "articles": ARTICLES,
    "cases": CASES,
    "manners": MANNERS,
}
