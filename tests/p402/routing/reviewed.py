# ruff: noqa: E501 - a prompt a line
"""Prompts reviewed by hand on 2026-11-26, each with the task a reader would name; none was used in training.

They were written after the seed prompts of `datasets/tasks/seed` (but for fourteen of `quiz`, which were added
later for the sake of another set), by the same author, and before the head was
first run on them; the head was not changed for them afterwards. What it misses is in `test_infer.py`.
"""

REASONING = [
    "A farmer has chickens, rabbits and one dog. The dog barks at whatever is not a rabbit. It barked at Fluffy. Is Fluffy a chicken? Explain.",
    "We observed that churn doubled after the price change, but only among annual customers. Come up with hypotheses, tell me how to test each, and which one you would bet on.",
    "Work out a seating plan for eight wedding guests: Uncle Rob must not sit near Aunt May, the twins stay together, and Grandma needs the seat by the door.",
    "If all glorps are fleems and no fleem is a zant, can a zant be a glorp? Justify your answer.",
    "Plan a five-day migration of our database to a new data centre, with checkpoints, dependencies and a fallback at each stage.",
    "There are three suspects. Exactly one is guilty. X says Y did it. Y says Z did it. Z says Y is lying. If only one statement is true, who is guilty?",
    "I need to be at the airport at 6 am, the first train leaves at 5:10 and takes 40 minutes, security takes half an hour. Do I make it, and what should I change if not? Think it through step by step.",
    "Is the following argument valid? If it snowed, the road is closed. The road is closed. Hence it snowed.",
    "You have a candle, a box of matches and a box of tacks. How do you fix the candle to the wall? Describe your chain of thought.",
    "Which of two strategies is better for a startup with six months of runway: cut costs or raise a bridge round? Consider second-order effects and argue for one.",
    "Five books stand on a shelf. The atlas is left of the novel, the dictionary is at one end, and the cookbook is between the atlas and the diary. What is the order from left to right?",
    "Given that the server log shows no request at 10:04, yet the client got a timeout at 10:05, deduce where the request was lost.",
    "Continue the pattern and explain the rule: O, T, T, F, F, S, S, ...",
    "Design an experiment to find out whether the new fertiliser helps. Think about confounders, controls and sample size.",
    "My neighbour's dog only barks when strangers pass. It was silent during the burglary. What does that suggest, and what are other explanations?",
    "Break the goal 'launch a podcast by March' into tasks, put them in order, estimate each and point out the critical path.",
    "John looks at Anne. Anne looks at Peter. John is married, Peter is not. Is a married person looking at an unmarried one? Yes, no, or cannot be determined?",
    "Analyse this claim critically: crime went down because the city planted trees.",
    "Two trains of thought lead to opposite conclusions here: free will exists because we deliberate; it does not because causes precede choices. Reconcile them or show which premise fails.",
    "Anna is faster than Bea. Cleo is slower than Bea. Dora is faster than Anna. Who is the slowest of the four?",
    "Suppose we double the price and lose a third of our customers. Walk through what happens to revenue, support load and brand, and conclude whether we should do it.",
    "Find the contradiction in these statements: the shop never closes; the shop is shut on Sundays; every customer was served on Sunday.",
    "A monk climbs a mountain in one day and descends the next day along the same path. Show that there is a spot he passes at the same hour on both days.",
    "You wake up in a room with two doors and a note: 'exactly one of these signs is true'. The left sign says 'freedom is here', the right one 'freedom is not here'. Where do you go, and why?",
    "Compare three ways to get 200 people across a river with one boat for ten, and choose the best under a two-hour limit.",
    "Our tests pass locally but fail in the pipeline since Tuesday, only on Mondays' data, only for one customer. Reason about what could cause this and rank the causes.",
    "Hat puzzle: three wise men each wear a black or a white hat, at least one is white, and after a silence the third says 'mine is white'. How does he know?",
    "Decide whether the inference holds: most swans here are white; this bird is from here and is a swan; so it is certainly white.",
    "Negotiate on my behalf: the seller wants 300, I can pay 250, he needs to sell by Friday. Lay out a multi-step strategy and anticipate his replies.",
    "Which of these options cannot be true if Kay arrived before Lou and Lou arrived last?\n(A) Kay arrived first\n(B) Kay arrived last\n(C) Mo arrived second",
]

OTHERS = [
    ("Hiya! Long time no see :)", "chat"),
    ("I can't stop thinking about my ex. Any words of comfort?", "chat"),
    ("You have been such a great help, thank you so much!", "chat"),
    ("Do you prefer cats or dogs?", "chat"),
    ("what should i wear to a first date lol", "chat"),
    ("I'm so tired today, work was awful.", "chat"),
    ("Implement quicksort in Haskell and comment on each line.", "code"),
    ("My React component re-renders forever when I set state in useEffect. How do I stop it?", "code"),
    ("Create a bash one-liner that deletes files older than 30 days.", "code"),
    ("What does this regex match? ^\\d{3}-\\d{4}$", "code"),
    (
        "Write unit tests for the following class:\n\nclass Stack:\n    def __init__(self):\n        self.items = []",
        "code",
    ),
    ("Port this SQL from MySQL to Postgres: SELECT IFNULL(a, 0) FROM t LIMIT 5, 10;", "code"),
    ("Find the derivative of sin(x)/x.", "math"),
    ("A recipe for 4 people needs 600 g of flour. How much flour do I need for 7?", "math"),
    ("What is the probability of getting exactly 3 heads in 5 tosses of a fair coin?", "math"),
    ("Simplify (2x^3 y)^2 / (4x y^3)", "math"),
    ("Kate reads 24 pages a day. How many days does she need for a book of 360 pages?", "math"),
    ("calculate 18.5% VAT on 1,240", "math"),
    ("Who was the emperor of Japan during the Meiji restoration?", "knowledge"),
    ("Explain how a refrigerator works.", "knowledge"),
    ("What is the difference between a virus and a bacterium?", "knowledge"),
    ("Tell me about the history of the Suez canal.", "knowledge"),
    ("Why do leaves change colour in autumn?", "knowledge"),
    ("Which element has the symbol Au?\nA) Silver\nB) Gold\nC) Copper\nD) Tin", "knowledge"),
    (
        "Extract the sender, the subject and the date from this mail header:\nFrom: a@b.org\nSubject: Lunch\nDate: 3 May",
        "extraction",
    ),
    ("Classify the tweet as hateful, offensive or neither: 'you people never learn'", "extraction"),
    (
        "From the paragraph below, list all company names as a JSON array.\n\nYesterday Globex bought a stake in Initech, said Hooli.",
        "extraction",
    ),
    ('Is the sentiment of this comment positive or negative? "Could have been worse."', "extraction"),
    ("Pull every email address out of the text: write to kim@x.com or lee@y.com", "extraction"),
    ("Label each sentence as fact or opinion.\n1. Paris is in France.\n2. Paris is lovely.", "extraction"),
    (
        "Summarize the plot of the following chapter in two sentences.\n\nThe ship left at dawn. By noon the storm had taken the mast, and the captain, who had not slept, gave the wheel to the boy.",
        "summary",
    ),
    (
        "tl;dr of this please: The committee met on Monday to discuss the budget and after four hours agreed to meet again.",
        "summary",
    ),
    (
        "Give me the key points of this speech.\n\nFriends, we have come a long way since the mill closed. We built the school, the clinic and the bridge.",
        "summary",
    ),
    (
        "Condense this paragraph to a single sentence: Bees are vital pollinators. Without them many crops would fail. Their numbers are falling.",
        "summary",
    ),
    (
        "Can you write a short summary of our meeting notes?\n- agreed on blue\n- launch in May\n- Sam does the video",
        "summary",
    ),
    (
        "I missed the first half of the thread. Catch me up in brief:\nA: the build is red\nB: fixed\nA: red again, different test",
        "summary",
    ),
    ("Translate to French: Where can I buy a ticket?", "translation"),
    ("How do you say 'good luck' in Turkish?", "translation"),
    (
        "Please give me the English translation of this menu: Zwiebelsuppe, Kalbsschnitzel, Apfelstrudel",
        "translation",
    ),
    ("Convert this into Spanish, keeping it informal: hey, are you coming tonight?", "translation"),
    (
        "Translate the following user manual section from Chinese into English:\n按下红色按钮启动机器。",
        "translation",
    ),
    ("What does the Italian phrase 'in bocca al lupo' mean in English?", "translation"),
    ("Write a sonnet about a broken umbrella.", "writing"),
    ("Draft a LinkedIn post announcing my new job at a hospital.", "writing"),
    ("Compose an apology email to a customer whose parcel got lost.", "writing"),
    ("Rewrite this sentence to sound more confident: I think we might be able to help.", "writing"),
    ("Give me a short horror story set in a lighthouse.", "writing"),
    ("Proofread my cover letter and fix the grammar: I are applying for the position of nurse.", "writing"),
]

CONVERSATIONS = [
    # system, first user message, last user message, messages, JSON by schema; then the task
    (
        "You are a translator. Translate everything the user says into German.",
        None,
        "The meeting is at noon.",
        2,
        False,
        "translation",
    ),
    (
        "Summarize the text the user sends in three bullet points.",
        None,
        "The river rose and the lower town was flooded; schools stay shut until Thursday, and the barrier was not raised.",
        2,
        False,
        "summary",
    ),
    ("You are a helpful assistant.", None, "What is the capital of Peru?", 2, False, "knowledge"),
    (
        "You are a helpful assistant.",
        None,
        "Write a Python function that merges two sorted lists.",
        2,
        False,
        "code",
    ),
    ("", "Write a Python function that parses dates.", "now make it faster", 3, False, "code"),
    ("", "Solve for x: 2x + 6 = 20", "and the next one?", 3, False, "math"),
]
