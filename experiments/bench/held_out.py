"""Pairs written after the guards' word lists were frozen: what they do with what they were not made for.

Never tune to them. Their first run is on record in `p402/cache/guards/README.md`, as it was.
"""

from itertools import permutations
from typing import Final

_SLOTS: Final = (
    ("How many {} fit into a carry-on suitcase?", "shirts|boots|towels|laptops"),
    ("Will a {} survive a winter in Minnesota?", "fig tree|lemon tree|palm tree|grape vine"),
    ("My {} has been blinking red since the storm, how can I fix it?", "router|modem|boiler|smoke alarm"),
    ("Give me a {} summary of the Odyssey", "one-line|two-page|detailed|rhyming|humorous"),
    ("Rewrite the paragraph in {} voice", "active|passive|first person|third person"),
    ("What is the tax rate on {} in Ireland?", "dividends|capital gains|salaries|gifts|pensions"),
    ("Can a landlord {} a deposit for unpaid rent?", "keep|return|raise|demand|refuse"),
    ("Is it {} to park facing traffic?", "legal|illegal|rude|common|safe"),
    ("Compare {} with TensorFlow for research", "PyTorch|JAX|MXNet|Keras"),
    ("How do I {} a pull request on GitHub?", "open|close|merge|revert|squash|rebase"),
    ("How do I run the container {} a network?", "on|off|without|inside|outside"),
    ("Show {} rows whose price exceeds 30", "all|the first ten|the last ten|no|distinct"),
    ("What does the {} flag of curl do?", "-o|-O|-k|-K|-i|-I|--insecure|--include"),
    ("Which {} of Postgres supports merge statements?", "v14|v15|v16|fork|driver|edition"),
    ("What is {} percent of eighty?", "5|fifteen|50|one|12.5|0.5"),
    ("The meeting is at {}, what time is that in UTC?", "7 am EST|7 pm EST|7 am PST|8 am EST|7:30 am EST"),
    ("Who directed the {} Alien film?", "first|second|third|latest|shortest"),
    ("Is {} water good for houseplants?", "tap|rain|distilled|hard|cold|salt"),
    ("Should a {} take melatonin every night?", "toddler|teenager|pregnant woman|pilot|grandmother"),
    ("Does {} cause hair loss?", "stress|creatine|biotin|minoxidil|finasteride|iron deficiency"),
    ("Draft a {} letter to my employer", "resignation|complaint|thank-you|cover|sick leave"),
    ("How do I say 'I am lost' in {}?", "Finnish|Greek|Tagalog|Zulu|Basque"),
    ("Simplify {}", "3(x-1)+2|3(x+1)+2|3(x-1)-2|3x-1+2|4(x-1)+2|3(y-1)+2"),
    ("What is the time complexity of {}?", "heapsort|bubblesort|radix sort|binary search|linear search"),
    ("Why did {} lose the battle of Waterloo?", "Napoleon|Wellington|France|Prussia"),
    ("How {} is the Nile?", "long|wide|deep|old|polluted"),
    ("When {} the Suez canal built?", "was|wasn't|will be"),
    ("Tell {} about the delay in a kind tone", "Maria|Mario|her|him|them|the board"),
    ("Return {} if the list is empty", "None|null|0|-1|[]|{}|an error|True|False"),
    (
        "What is the chance of rolling {} with two dice?",
        "a seven|an eight|a double|at least a seven|two sixes",
    ),
    ("Is a mortgage at {} interest fair?", "3%|3.5%|4%|13%|0.3%|fixed|variable"),
    ("Explain {} inheritance in C++", "single|multiple|virtual|private|protected|public"),
    ("What happens {} you freeze a battery?", "if|after|before|when someone warns"),
    ("I am {} years old, how much protein do I need?", "18|eighty|30|sixty five|65 and a half"),
    ("Transfer $400 {} my savings account", "to|from|into|out of|between"),
    ("Did the Celtics beat the {}?", "Lakers|Knicks|Bulls|Heat|Suns"),
    ("How do I go {} a headstand?", "into|out of|beyond|without"),
    ("Name an animal that {} lay eggs", "does|does not|can|cannot|must|used to"),
)

_SWAPPED: Final = (
    ("Is {} heavier than {}?", "lead|gold|tin"),
    ("Did {} copy {} or merely resemble it?", "Doric|Ionic|Tuscan"),
    ("Can {} infect {}?", "cats|humans|bats"),
    ("Would {} forgive {} in the last act?", "Romeo|Juliet|Tybalt"),
    ("Turn the {} into a {} with ffmpeg", "gif|clip|frame"),
    ("Explain why {} replaced {}", "diesel|steam|coal"),
    ("Map {} onto {} in the ORM", "rows|objects|tables"),
    ("the nurse asked the {} to phone the {}", "doctor|pharmacist|patient"),
)

_MISSES: Final = (
    ("Can I eat chicken that was left out overnight?", "Can I eat chicken that was not left out overnight?"),
    ("How do I stop my cat from scratching?", "How do I get my cat scratching?"),
    ("Is the bridge strong enough?", "Is the bridge no longer strong enough?"),
    ("List European countries inside the EU", "List European countries outside the EU"),
    ("What are the odds of winning?", "What are the odds of not winning?"),
    ("Only include verified users", "Include verified users"),
    ("Sort ascending by date then name", "Sort ascending by name then date"),
    ("Explain it like I'm five", "Explain it like I'm fifty"),
    ("Remove duplicates but keep the order", "Keep duplicates but remove the order"),
    ("Is Pluto a planet?", "Was Pluto a planet?"),
    ("How do I get rid of ants?", "How do I get ants?"),
    ("Could my neighbour sue me?", "Could I sue my neighbour?"),
    ("What do vegans eat?", "What don't vegans eat?"),
    ("Why is my code so slow?", "Why is your code so slow?"),
    ("Describe a day in the life of a nurse", "Describe a night in the life of a nurse"),
    ("How do we file taxes jointly?", "How do we file taxes separately?"),
    ("Count the vowels in banana", "Count the consonants in banana"),
    ("Is the file read-only?", "Is the file read only once?"),
    ("A train leaves at 5 and arrives at 7", "A train leaves at 7 and arrives at 5"),
    ("Every student passed some exam", "Some student passed every exam"),
    ("Give an example of a prime", "Give an example of a prime number below ten"),
    ("What is the opposite of hot?", "What is the opposite of not hot?"),
    ("print(a or b)", "print(a and b)"),
    ("SELECT name FROM t WHERE id = 1", "SELECT name FROM t WHERE id != 1"),
    ("git reset --soft HEAD~1", "git reset --hard HEAD~1"),
    ("chmod 755 run.sh", "chmod 777 run.sh"),
    ("x = a[i]", "x = a[i+1]"),
    ("What's wrong with `for i in range(n)`?", "What's wrong with `for i in range(n+1)`?"),
    ("Is there any way to delete a tweet?", "Is there no way to delete a tweet?"),
    ("How do I make the team happy?", "How do I make the team unhappy?"),
    ("Who is older, Tom or his uncle?", "Who is younger, Tom or his uncle?"),
    ("What is the best way to learn to swim fast?", "What is the fastest way to learn to swim?"),
    ("Explain the pros of remote work", "Explain the cons of remote work"),
    ("Could you write code without comments?", "Could you write code with comments?"),
    ("Thanks to whom did we win?", "To whom did we win?"),
    ("What is the US visa policy for Polish nationals?", "What is the Polish visa policy for US nationals?"),
    ("How much is 5 lb in kg?", "How much is 5 kg in lb?"),
    ("What is a the in grammar?", "What is an a in grammar?"),
    ("Is one enough?", "Is the one enough?"),
    ("Which of the two is first?", "Which of the first is two?"),
)

_EQUAL: Final = (
    ("How do I boil an egg?", "how do i boil an egg"),
    ("How do I boil an egg?", "How can I boil an egg?"),
    ("How do I boil an egg?", "Please tell me how to boil an egg."),
    ("What is an API gateway?", "what's an API gateway"),
    ("Write a limerick about a penguin", "Could you write a limerick about a penguin, please?"),
    ("Write a limerick about a penguin", "I'd like you to write a limerick about a penguin."),
    ("List five herbs that grow in shade", "List 5 herbs that grow in shade."),
    ("Which is healthier, butter or margarine?", "Which is healthier, margarine or butter?"),
    ("In Rust, how do I clone a vector?", "How do I clone a vector in Rust?"),
    ("What's the difference between jam and jelly?", "What is the difference between jelly and jam?"),
    ("How do jam and jelly differ?", "What is the difference between jam and jelly?"),
    ("Explain how a transistor works.", "How does a transistor work?"),
    ("Hello! How do I center text in LaTeX?", "How do I center text in LaTeX?"),
    ("Why don't spiders stick to their webs?", "Why do not spiders stick to their webs?"),
    ("Summarize the theory of plate tectonics", "Summarise the theory of plate tectonics."),
    ("What colour is a giraffe's tongue?", "What color is a giraffe's tongue?"),
    ("Convert 1,500 grams to pounds", "Convert 1500 grams to pounds"),
    ("Give me three synonyms of brave", "Give me 3 synonyms of brave"),
    ("What is the tallest mountain in Africa?", "What's the tallest mountain in Africa?"),
    ("What is the tallest mountain in Africa?", "Which is the tallest mountain in Africa?"),
    ("Tell me what a black hole is", "What is a black hole?"),
    ("Who painted the Night Watch?", "Do you know who painted the Night Watch?"),
    ("Who painted the Night Watch?", "By whom was the Night Watch painted?"),
    ("How to prune an apple tree", "How do I prune an apple tree?"),
    ("What's the best way to prune an apple tree?", "How should I prune an apple tree?"),
    ("Translate 'see you later' into Dutch", 'Translate "see you later" into Dutch'),
    ("Explain photosynthesis in simple terms", "Explain photosynthesis in simple terms, thanks"),
    ("Is coffee bad for you?", "Is coffee unhealthy?"),
    ("Is coffee bad for you?", "is coffee really bad for you??"),
    ("Draft a note to the tenants about the elevator", "Draft a note to tenants about the elevator"),
    ("Suggest a name for a bakery", "Can you suggest a name for a bakery?"),
    ("Suggest a name for a bakery", "Suggest names for a bakery"),
    ("What is the purpose of a firewall in a network?", "What's the purpose of the firewall in a network?"),
    ("Fix the bug in this loop", "Please fix the bug in this loop!"),
    ("How long do cats sleep each day?", "How many hours a day do cats sleep?"),
    ("How do I renew a passport?", "What are the steps to renew a passport?"),
    ("How do I renew a passport?", "What is the process for renewing a passport?"),
    ("Who was the first woman in space?", "who was the 1st woman in space"),
    ("What can't dogs eat?", "What can dogs not eat?"),
    ("Recommend a book on stoicism", "Can you recommend a good book on stoicism?"),
    ("Good evening, what is a hedge fund?", "What is a hedge fund?"),
    ("I was wondering how vaccines work", "How do vaccines work?"),
    ("What does HTML stand for?", "What is HTML short for?"),
    ("Create a packing list for a ski trip", "Make a packing list for a ski trip"),
)

_SUBJECTS: Final = (
    "renovate a bathroom|invest 200 euros a month|train a puppy|index a large table|write a will|"
    "patch drywall"
)
_ASKINGS: Final = (
    "How do I {}?|How can I {}|how to {}|Could you tell me how to {}?|What is the best way to {}?|"
    "Please explain how to {}.|Hey, how do I {}? Thanks!|I need to know how to {}"
)


def near_misses() -> list[tuple[str, str]]:
    """Pairs whose answers differ."""
    pairs = list(_MISSES)
    for template, words in _SLOTS:
        for one, other in permutations(words.split("|"), 2):
            pairs.append((template.replace("{}", one, 1), template.replace("{}", other, 1)))
    for template, words in _SWAPPED:
        for one, other in permutations(words.split("|"), 2):
            pairs.append((template.format(one, other), template.format(other, one)))
    return pairs


def equivalents() -> list[tuple[str, str]]:
    """Pairs with one answer."""
    pairs = list(_EQUAL)
    for subject in _SUBJECTS.split("|"):
        asked = [asking.format(subject) for asking in _ASKINGS.split("|")]
        pairs += [(asked[0], other) for other in asked[1:]]
    return pairs
