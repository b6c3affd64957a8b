"""Which words mean the same to the guards, where nothing is set aside, and of which kind a difference is.

Lists only. What makes two words one (`APART`, `DOABLE`) decides what may pass, so each
entry is a claim that no prompt's answer turns on it. What forbids (`TEXTUAL`, `TECHNICAL`) may be long: a
word too many costs a provider call. The kinds (`NUMBERS`, `NEGATIONS`, `POLES`, `NAMES`) only name a refusal
that is certain already, so a word that they lack costs nothing but its name.
"""

from typing import Final


def bag(words: str) -> frozenset[str]:
    """Words of a list in one string."""
    return frozenset(words.split())


APART: Final = {
    "can't": "cannot",
    "won't": "will not",
    "don't": "do not",
    "doesn't": "does not",
    "didn't": "did not",
    "isn't": "is not",
    "aren't": "are not",
    "wasn't": "was not",
    "weren't": "were not",
    "shouldn't": "should not",
    "couldn't": "could not",
    "wouldn't": "would not",
    "hasn't": "has not",
    "haven't": "have not",
    "hadn't": "had not",
    "what's": "what is",
    "how's": "how is",
    "who's": "who is",
    "where's": "where is",
    "that's": "that is",
    "it's": "it is",
    "there's": "there is",
    "i'm": "i am",
    "I'm": "I am",
    "I've": "I have",
    "I'll": "I will",
    "you're": "you are",
    "you've": "you have",
    "you'll": "you will",
    "we're": "we are",
    "we've": "we have",
    "we'll": "we will",
    "they're": "they are",
    "they've": "they have",
    "they'll": "they will",
}
"""Contractions that stand for one thing only; `he'd` is had or would, and `let's` no `let us`."""

ASKS: Final = bag(
    "what how why who whom whose where when which is are was were do does did can could should would will "
    "am has have had isn't aren't wasn't weren't don't doesn't didn't can't couldn't shouldn't won't "
    "what's how's who's where's"
)
"""Words with which a question begins; a capital there says nothing, since each sentence has one."""

ORDERS: Final = bag(
    "explain write describe give summarize summarise tell show list compare convert create draft suggest "
    "recommend define find make fix calculate name generate help provide outline plan translate rewrite"
)
"""Verbs with which an order begins."""

OPENS: Final = bag("i i'm i've my we our if there")
"""Other words with which a prompt begins and that name nothing."""

ALWAYS: Final = (ASKS - bag("will am has have had")) | bag("explain write describe give show tell") | OPENS
"""Of them, those that are no word of any machine's language: `List` and `list` are two in Python."""

OBJECTS: Final = bag("a an the this these that my me us all each every two three 2 3 5 10")
"""Words before which an order's verb is a verb beside code too."""

DOABLE: Final = bag(
    "assemble bake boil calculate cancel center clone compile configure debug deploy disable encrypt format "
    "install merge migrate organise organize parse patch prune publish reboot rename renew renovate reset "
    "restart sew sharpen undo uninstall unsubscribe upgrade upload validate"
)
"""Verbs of what nobody does unawares: `how do I reset` asks for a way, `how do I look` or `make` need not."""

OWNED: Final = bag("a an the my your")
"""Words that begin the object of such a verb: no `how do I export anger`."""

NAMELIKE: Final = bag("list find make if will am i")
"""First words that are names too: `List` and `list` are two in Python, `Will` is a man, `i` a root of -1."""

WHY: Final = bag(
    "when while whenever each accident mistake so too still always keep already ever never not even "
    "suddenly often much many every less than myself sleep asleep video photo picture usually constantly "
    "accidentally instead seem"
)
"""Words beside which `how do I` may ask how it came that I do."""

TEXTUAL: Final = bag(
    "translate translation translating grammar grammatical grammatically proofread proofreading spell "
    "spelled spelling spellcheck letters syllable syllables vowel vowels consonant consonants anagram "
    "rhyme rhymes capitalize capitalise uppercase lowercase palindrome rewrite rewriting rephrase "
    "rephrasing paraphrase paraphrasing punctuate punctuation typo typos verbatim repeat echo pronounce "
    "pronunciation conjugate plural singular article articles idiom encode encoded decode decoded "
    "tokenize tokens word words sentence phrase phrases clause say says saying said statement sentiment "
    "tone polite politely rude formal informal classify label md5 sha sha1 sha256 sha512 hash hashes "
    "hashed checksum digest crc crc32 base64 rot13 cipher morse hex hexadecimal ascii unicode utf "
    "character characters comma commas period semicolon colon apostrophe hyphen dash quote quotes "
    "quotation synonym synonyms antonym antonyms definition meaning abbreviation acronym etymology "
    "reverse reversed backwards alphabetical alphabetically alphabetize mark marks ending ends correct "
    "correctly headline headlines written reply replies typed lyrics verse verses subtitle caption slogan "
    "hashtag username usernames passwords passphrase serial verb verbs noun nouns adjective adjectives "
    "adverb pronoun preposition tense british american mood feeling feelings style intent manners courtesy "
    "greet greets greeted greeting greetings hello friendly nicely nicer courteous ask asks asked asking "
    "message messages question questions prompt prompts chat chats capital capitals capitalized capitalised "
    "punctuated contracted contraction contractions"
)
"""Words of a prompt that is about a text, or about itself: nothing of it is set aside."""

ASKLESS: Final = bag(
    "python java javascript js node r matlab sql css html git latex excel github tcp udp http https ftp "
    "ssh json csv yaml xml docker kubernetes redis memcached postgresql postgres mysql sqlite mongodb "
    "linux windows macos ubuntu aws azure gcp numpy pandas ios android vim emacs"
)
"""Languages and tools in which no name ends with a question mark."""

PATTERNS: Final = bag("regex regexp pattern patterns glob wildcard wildcards prolog erlang cobol")
"""Words beside which a full stop may be a sign."""

SIGNED: Final = bag(
    "sign signed signing sign-off signoff close closing greet greeting goes went answer answers end no "
    "no, yes yes, ok ok, yours regards leave respond shout express apologise apologize gratitude teach learn"
)
"""Words beside which thanks may be what is asked about."""

CLOSING: Final = bag("mean do work for")
"""Words after which a question's last stop is no sign of a machine's language."""

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
    "asynchronous sync async strong weak simple complex easy difficult full empty ancient modern domestic "
    "international local global internal external temporary permanent static dynamic horizontal vertical "
    "horizontally vertically major minor legal illegal guilty innocent alive dead present absent arrive "
    "depart arrival departure enter exit entry include exclude including excluding inclusive exclusive "
    "within beyond toward away from to north south east west northern southern eastern western credit "
    "debit asset liability profit loss gain bull bear active passive online offline manual automatic "
    "mandatory optional required ascend descend benign malignant acute chronic hyper hypo agonist "
    "antagonist pros cons advantages disadvantages advantage disadvantage benefits drawbacks strengths "
    "weaknesses gross net before-tax after-tax summer winter day night morning evening am pm upper "
    "uppercase lowercase prefix suffix lossy lossless stable unstable beginner advanced expert novice "
    "formal informal serious funny can should must may might could would will did was were is are than "
    "until since during while forward backward forwards backwards clockwise counterclockwise agree "
    "disagree connect disconnect attach detach expand collapse show hide visible hidden grow shrink "
    "sooner ever mute unmute pin unpin freeze thaw merge split stronger weaker hotter colder warmer "
    "cooler lighter heavier cheaper richer poorer thicker thinner wider narrower deeper shallower easier "
    "harder safer riskier"
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
    "two three four five six seven eight nine ten eleven twelve twenty thirty fifty half double triple "
    "twice once thrice dozen couple few several many much quarter third second fourth "
    "fifth sixth seventh eighth ninth tenth single hundred thousand million billion k percent percentage "
    "january february march april may june july august september october november december jan feb mar "
    "apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday mon "
    "tue wed thu fri sat sun today yesterday tomorrow tonight century decade year years month months week "
    "weeks day days hour hours minute minutes seconds millisecond milliseconds microsecond microseconds "
    "nanosecond nanoseconds hourly daily weekly monthly yearly annually quarterly ms s min h mg g kg mcg "
    "ug ng lb lbs oz ml l dl cl cc mm cm m km ft yd mi mph kph nm um gram grams milligram milligrams "
    "microgram micrograms kilogram kilograms tonne tonnes ton tons pound pounds ounce ounces stone liter "
    "liters milliliter milliliters gallon gallons pint pints cup cups tablespoon tablespoons teaspoon "
    "teaspoons tbsp tsp meter meters millimeter millimeters centimeter centimeters kilometer kilometers "
    "mile miles yard yards foot feet inch inches celsius fahrenheit kelvin c f degree degrees radian "
    "radians watt watts kilowatt kilowatts volt volts amp amps ohm ohms joule joules calorie calories "
    "kcal hz khz mhz ghz bit bits byte bytes kb mb gb tb kib mib gib kilobyte kilobytes megabyte "
    "megabytes gigabyte gigabytes terabyte terabytes acre acres hectare hectares psi pascal pascals px em "
    "rem dollar euro yen rupee rupees franc francs peso pesos won yuan usd eur gbp jpy cny inr chf cad "
    "aud bitcoin cents cent utc gmt est pst cet cst mst bst am pm ad bc bce ce plus minus times divided "
    "multiplied squared cubed"
)
"""Units, dates, currencies and words of quantity."""

MACHINES: Final = bag(
    "python javascript typescript java kotlin swift rust go golang ruby php perl scala haskell elixir "
    "erlang clojure lua r julia matlab sql bash powershell zsh html css c c++ c# f# cpp csharp node react "
    "vue angular svelte django flask rails spring laravel postgresql postgres mysql sqlite mongodb redis "
    "memcached docker kubernetes terraform ansible aws azure gcp linux windows macos ubuntu debian fedora "
    "android ios git github gitlab svn npm yarn pip conda numpy pandas polars json xml yaml csv toml http "
    "https ftp ssh tcp udp vim emacs shell regex grep sed awk terminal js nodejs node.js .net dart "
    "fortran cobol lisp scheme ocaml zig nim prolog latex tex markdown excel spreadsheet powerquery vba "
    "jquery fastapi pytorch tensorflow graphql nginx apache kafka hadoop solidity verilog assembly "
    "webpack vite eslint cmake makefile crontab"
)
"""Languages and tools of machines, beside which capitals, stops and quotation marks mean something."""

_TONGUES: Final = bag(
    "english french german spanish italian portuguese dutch russian chinese mandarin cantonese japanese "
    "korean arabic hebrew hindi urdu bengali turkish polish greek latin swedish norwegian danish finnish "
    "czech hungarian romanian ukrainian vietnamese thai indonesian malay swahili persian farsi"
)
NAMES: Final = MACHINES | _TONGUES
"""Languages of men and machines that many write without a capital."""

_CODE: Final = (
    "call calls called invoke code codes coding coded program programs programming script scripts "
    "function functions method methods class classes object objects variable variables operator operators "
    "keyword keywords syntax type types typed string strings text texts int integer integers float floats "
    "double bool boolean booleans char byte bytes null nil none void true false array arrays tuple tuples "
    "dict dictionary map maps hashmap hashset set sets queue stack struct structs enum enums trait traits "
    "interface interfaces pointer pointers lambda closure macro macros loop loops iterator generator "
    "decorator module modules import imports export exports package packages library libraries namespace "
    "compiler compile compiled compiles interpreter runtime exception exceptions error errors bug bugs "
    "debug stacktrace segfault query queries table tables column columns row rows select join joins index "
    "schema database databases db api apis endpoint url urls uri path paths file files filename filenames "
    "folder directory env environment flag flags argument arguments parameter parameters param params "
    "config regexp regex pattern glob wildcard escape parse parser parsing parsed json div tag tags "
    "attribute selector commit branch branches repo repository diff patch merge rebase command commands "
    "cli prompt bash kernel socket server port ports host hosts async await yield return returns returned "
    "print prints printed output outputs valid snippet expression expressions formula formulas cell cells "
    "algorithm algorithms gem crate annotation generic generics template templates unary binary bitwise "
    "modulo ternary nullable optional byref const let var val def fn func goto switch case break continue "
    "try catch finally throw throws raise component components hook hooks prop props state callback "
    "promise promises thread threads mutex sudo chmod chown mkdir rm cp mv ls cd curl wget space spaces "
    "whitespace indent indented indentation line lines newline tab tabs sha uuid guid id ids key keys "
    "login token domain hostname handle slug predicate predicates symbol symbols identifier bang "
    "terraform pod pods container containers image images volume volumes cron makefile header headers"
)
_SUMS: Final = (
    "solve equation equations equal equals simplify factor factorial factorials integral integrate "
    "derivative differentiate limit sum sums product quotient ratio divide divided division multiply "
    "multiplied times plus minus subtract subtracted subtraction add added addition squared cubed root "
    "roots power exponent logarithm log prime primes divisor divisors digit digits number numbers numeral "
    "numerals sentences fraction fractions decimal decimals percent percentage matrix matrices vector "
    "vectors determinant polynomial coefficient probability permutation permutations combination "
    "combinations sequence series modulus signed odds evens naturals integers reals rationals squares "
    "multiples intersection union subset complement math maths arithmetic algebra geometry calculus "
    "theorem proof prove calculated calculator average mean median value values evaluate result"
)
_MUSIC: Final = (
    "chord chords scale scales note notes key minor major flat sharp melody guitar piano ukulele violin "
    "song songs sing singer sang album albums track band bands concert tour lyric soundtrack single "
    "octave arpeggio"
)
_TITLES: Final = (
    "film films movie movies book books novel novels series episode episodes season game games title "
    "titles titled called named play musical opera poem author authors wrote director directed starring "
    "actor actors actress cast character sequel trilogy comic manga anime magazine newspaper brand brands "
    "trademark company watch watched released release plot ending stars soundtrack streaming"
)
CODE: Final = bag(_CODE) | MACHINES
SUMS: Final = bag(_SUMS)
TECHNICAL: Final = CODE | SUMS | bag(_MUSIC) | bag(_TITLES)
"""Words of machines, sums, music and titles, beside which a stop or a spelling may be the point."""
