"""Which words mean the same to the guards, and which kind of difference a word makes.

Lists only. What makes two words one (`SAME`, `APART`, `SMALL`) decides what may pass, so each entry is a
claim that no prompt's answer turns on it. The kinds (`NUMBERS`, `NEGATIONS`, `POLES`, `NAMES`) only name a
refusal that is certain already, so a word that they lack costs nothing but its name.
"""

from typing import Final


def bag(words: str) -> frozenset[str]:
    """Words of a list in one string."""
    return frozenset(words.split())


APART: Final = {
    "cannot": "can not",
    "can't": "can not",
    "cant": "can not",
    "won't": "will not",
    "wont": "will not",
    "shan't": "shall not",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "isnt": "is not",
    "arent": "are not",
    "wasnt": "was not",
    "werent": "were not",
    "shouldnt": "should not",
    "couldnt": "could not",
    "wouldnt": "would not",
    "hasnt": "has not",
    "havent": "have not",
    "hadnt": "had not",
    "whats": "what is",
    "hows": "how is",
    "whos": "who is",
    "wheres": "where is",
    "thats": "that is",
    "im": "i am",
    "ive": "i have",
    "let's": "let us",
}
"""Contractions, and those that lost their apostrophe, as the words they stand for."""

ENDINGS: Final = {"'re": " are", "'ve": " have", "'ll": " will", "'m": " am", "'d": " would"}

IS_AFTER: Final = bag("what who how where when why that it he she there here which")
"""Words after which `'s` is `is`; after any other it marks an owner."""

SAME: Final = {
    "an": "a",
    "u": "you",
    "plz": "please",
    "versus": "vs",
    "js": "javascript",
    "postgres": "postgresql",
    "compute": "calculate",
    "computing": "calculating",
    "utilize": "use",
    "utilise": "use",
    "utilizing": "using",
    "utilising": "using",
    "info": "information",
    "whilst": "while",
    "programme": "program",
    "grey": "gray",
    "centre": "center",
    "metre": "meter",
    "metres": "meters",
    "kilometre": "kilometer",
    "kilometres": "kilometers",
    "centimetre": "centimeter",
    "centimetres": "centimeters",
    "litre": "liter",
    "litres": "liters",
    "fibre": "fiber",
    "theatre": "theater",
    "tyre": "tire",
    "tyres": "tires",
    "adaptor": "adapter",
    "cancelled": "canceled",
    "cancelling": "canceling",
    "travelling": "traveling",
    "modelling": "modeling",
    "analyse": "analyze",
    "analysing": "analyzing",
    "defence": "defense",
    "catalogue": "catalog",
    "jewellery": "jewelry",
    "aluminium": "aluminum",
    "dollars": "dollar",
    "euros": "euro",
    "1st": "first",
    "2nd": "second",
    "3rd": "third",
    "4th": "fourth",
    "5th": "fifth",
    "6th": "sixth",
    "7th": "seventh",
    "8th": "eighth",
    "9th": "ninth",
    "10th": "tenth",
    "behaviour": "behavior",
    "behaviours": "behaviors",
    "honour": "honor",
    "labour": "labor",
    "neighbour": "neighbor",
    "neighbours": "neighbors",
    "rumour": "rumor",
    "humour": "humor",
    "harbour": "harbor",
    "colour": "color",
    "colours": "colors",
    "coloured": "colored",
    "flavour": "flavor",
    "flavours": "flavors",
    "favour": "favor",
    "favourite": "favorite",
    "favourites": "favorites",
}
"""Spellings and synonyms of one word."""

DIGITS: Final = {
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "eleven": "11",
    "twelve": "12",
    "thirteen": "13",
    "fourteen": "14",
    "fifteen": "15",
    "sixteen": "16",
    "seventeen": "17",
    "eighteen": "18",
    "nineteen": "19",
    "twenty": "20",
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "seventy": "70",
    "eighty": "80",
    "ninety": "90",
}
"""Spelled numbers."""

TIMES: Final = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}

SIGNS: Final = {"$": "dollar", "€": "euro", "%": "percent"}
"""Signs beside a number as the word they stand for; a pound may be money or weight, so it stays as it is."""

SMALL: Final = bag("really actually basically indeed truly kindly please")
BEFORE_SMALL: Final = bag(
    "is are was were do does did can could should will would it he she they i you we that"
)
"""Words that no answer turns on where they follow one of these; elsewhere they may be a title's."""

ARTICLES: Final = frozenset(("a", "the"))

CASED: Final = bag(
    "us it who may march august polish turkey china apple aids amazon chile java shell windows word excel "
    "mars mercury ram sat act led pet dos cat nice reading bath jersey will mark bill frank grant rose "
    "jack pat rob sue chuck drew lance bush trump jobs gates cook stone wood hill brown black white green "
    "young king love hope joy faith grace art dawn summer pin arm raid rest aim cap ace bat target gap "
    "orange meta cursor notion slack discord teams access go rust swift oracle"
)
"""Words that are another word when they begin with a capital."""

BRANDS: Final = bag(
    "JavaScript TypeScript GitHub GitLab macOS iOS iPhone iPad PostgreSQL MySQL MongoDB GraphQL NumPy "
    "PyTorch TensorFlow LaTeX YouTube LinkedIn PayPal WordPress PowerPoint ChatGPT OpenAI DataFrame "
    "DevOps IntelliJ McDonald PhD eBay WhatsApp TikTok FastAPI NodeJS jQuery LeetCode StackOverflow SaaS"
)
"""Names with capitals inside that are the same name without; any other such word is an identifier."""

ENGLISH: Final = bag(
    "the what how which why where when does did and this that with my you your should could would there "
    "write explain give show make create find list convert is of for vs very about from into not tell "
    "draft summarize summarise you're i'm it's what's how's who's"
)
"""Words one of which stands in most English prompts; where none does, no word is small."""

EXACT: Final = bag(
    "translate translation translating grammar grammatical grammatically proofread proofreading spell "
    "spelled spelling spellcheck letters syllable syllables vowel vowels anagram rhyme rhymes capitalize "
    "capitalise uppercase lowercase palindrome rewrite rewriting rephrase rephrasing paraphrase "
    "paraphrasing punctuate punctuation typo typos verbatim repeat pronounce pronunciation conjugate "
    "plural singular article articles idiom encode decode tokenize word sentence phrase say"
)
COUNTED: Final = bag("words letters characters string text")
COUNTING: Final = bag("count many number reverse reversed backwards length longest sort")
"""A prompt with one of each is about words too."""

"""Words of a prompt that is about words: every other word of it counts as it is written."""

NEGATIONS: Final = bag(
    "not no never none nobody nothing nowhere neither nor without non un hardly barely scarcely except "
    "unless against avoid prevent stop lack lacks lacking refuse deny instead"
)

PREFIXES: Final = ("un", "in", "im", "ir", "il", "non", "dis", "de", "mis", "anti", "a")

_POLES: Final = (
    "more less fewer most least better worse best worst higher lower highest lowest high low larger "
    "smaller largest smallest big small bigger biggest greater lesser longer shorter longest shortest "
    "long short taller tallest tall older younger oldest youngest newer newest old new young faster "
    "slower fastest slowest fast slow early late earlier later earliest latest before after first last "
    "above below over under up down in out on off left right top bottom front back inside outside indoor "
    "outdoor increase decrease increases decreases increased decreased increasing decreasing rise fall "
    "raise open close opened closed opening closing enable disable enabled disabled enabling disabling "
    "allow deny allowed denied block unblock start stop begin end add remove insert delete install "
    "uninstall import export upload download encrypt decrypt encode decode lock unlock push pull send "
    "receive buy sell win lose won lost pass fail accept reject approve decline true false yes no all "
    "none any some every always never sometimes with without for against and or only also even odd hot "
    "cold warm cool wet dry hard soft heavy light dark bright cheap expensive cheapest rich poor safe "
    "dangerous healthy unhealthy happy sad good bad love hate like dislike positive negative plus minus "
    "maximum minimum max min ascending descending asc desc public private input output read write parent "
    "child male female man woman boy girl he she his her him husband wife mother father synchronous "
    "asynchronous sync async strong weak simple complex easy difficult hard full empty ancient modern "
    "domestic international local global internal external temporary permanent static dynamic horizontal "
    "vertical horizontally vertically major minor legal illegal guilty innocent alive dead present absent "
    "arrive depart arrival departure enter exit entry include exclude including excluding inclusive "
    "exclusive within beyond toward away from to north south east west northern southern eastern western "
    "credit debit asset liability profit loss gain lose bull bear active passive online offline manual "
    "automatic mandatory optional required ascend descend benign malignant acute chronic hyper hypo "
    "agonist antagonist pros cons advantages disadvantages advantage disadvantage benefits drawbacks "
    "strengths weaknesses gross net before-tax after-tax summer winter day night morning evening am pm "
    "upper lower uppercase lowercase prefix suffix lossy lossless stable unstable beginner advanced "
    "expert novice formal informal serious funny can should must may might could would will did was were "
    "is are than until since during while forward backward forwards backwards clockwise counterclockwise "
    "agree disagree connect disconnect attach detach expand collapse show hide visible hidden import grow "
    "shrink sooner ever mute unmute pin unpin freeze thaw merge split stronger weaker hotter colder "
    "warmer cooler lighter heavier cheaper richer poorer thicker thinner wider narrower deeper shallower "
    "easier harder safer riskier"
)
LEANING: Final = bag(
    "in on to from for and or up down out off over under back front is are was were did can could may "
    "might must should will would than until since during while also even he she his her him all any some "
    "every within yes am pm split hide show read write"
)
"""Poles that stand in many a sentence: they name a guard only where each text has its own."""

POLES: Final = bag(_POLES)
"""Words that have an opposite."""

NUMBERS: Final = bag(
    "half double triple twice once thrice dozen couple few several many much quarter third second fourth "
    "fifth sixth seventh eighth ninth tenth single hundred thousand million billion k percent percentage "
    "january february march april may june july august september october november december jan feb mar "
    "apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday mon "
    "tue wed thu fri sat sun today yesterday tomorrow tonight century decade year years month months week "
    "weeks day days hour hours minute minutes second seconds millisecond milliseconds microsecond "
    "microseconds nanosecond nanoseconds hourly daily weekly monthly yearly annually quarterly ms s min h "
    "mg g kg mcg ug ng lb lbs oz ml l dl cl cc mm cm m km ft yd mi mph kph nm um gram grams milligram "
    "milligrams microgram micrograms kilogram kilograms tonne tonnes ton tons pound pounds ounce ounces "
    "stone liter liters milliliter milliliters gallon gallons pint pints cup cups tablespoon tablespoons "
    "teaspoon teaspoons tbsp tsp meter meters millimeter millimeters centimeter centimeters kilometer "
    "kilometers mile miles yard yards foot feet inch inches celsius fahrenheit kelvin c f degree degrees "
    "radian radians watt watts kilowatt kilowatts volt volts amp amps ohm ohms joule joules calorie "
    "calories kcal hz khz mhz ghz bit bits byte bytes kb mb gb tb kib mib gib kilobyte kilobytes megabyte "
    "megabytes gigabyte gigabytes terabyte terabytes acre acres hectare hectares psi pascal pascals px em "
    "rem dollar euro yen rupee rupees franc francs peso pesos won yuan usd eur gbp jpy cny inr chf cad "
    "aud bitcoin cents cent utc gmt est pst cet cst mst bst am pm ad bc bce ce plus minus times divided "
    "multiplied squared cubed"
)
"""Units, dates, currencies and words of quantity."""

MACHINES: Final = bag(
    "python javascript typescript java kotlin swift rust go golang ruby php perl scala haskell elixir "
    "erlang clojure lua r julia matlab sql bash powershell zsh html css c cpp csharp node react vue "
    "angular svelte django flask rails spring laravel postgresql mysql sqlite mongodb redis memcached "
    "docker kubernetes terraform ansible aws azure gcp linux windows macos ubuntu debian fedora android "
    "ios git svn npm yarn pip conda numpy pandas polars json xml yaml csv toml http https ftp ssh tcp udp "
    "vim emacs shell regex grep sed awk terminal "
)
"""Languages and tools of machines, beside which quotation marks mean something."""

_TONGUES: Final = bag(
    "english french german spanish italian portuguese dutch russian chinese mandarin cantonese japanese "
    "korean arabic hebrew hindi urdu bengali turkish polish greek latin swedish norwegian danish finnish "
    "czech hungarian romanian ukrainian vietnamese thai indonesian malay swahili persian farsi "
)
NAMES: Final = MACHINES | _TONGUES
"""Languages of men and machines that many write without a capital."""
