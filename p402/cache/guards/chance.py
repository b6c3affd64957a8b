"""Whether a request wants chance or variety, so that one answer for everybody is wrong.

A password or a key that two end users share is no secret, a die that always shows the same is none, and
`another` is not answered by what was given before. `random` by itself tells little: a random forest,
`random.seed`, a card drawn at random in a problem. So a thing of chance has to be asked for: made, given,
thrown, or named alone. Secrets are told most widely: in a short prompt, to speak of one is enough. What asks
how or why, or for a program, is excused. In doubt it wants chance, at the price of a provider call.
"""

import re
from typing import Final

from p402.cache.guards.lexicon import bag
from p402.cache.guards.spoken import any_of, folded, sentences

_BRIEF: Final = 25
"""Words up to which a secret that is spoken of is wished for, unless it is asked about."""

_SHORT: Final = 9
"""Words up to which `again` or `more` are the wish itself."""

_FEW: Final = 3
"""Sentences up to which a thing that is only named is wished for; a list of choices has more."""

_MANNERS: Final = re.compile(
    "\\A (?:(?:please|hi|hello|hey|ok|okay|thanks|also|then|and|but|so|well|now|just|kindly|quickly|only|"
    "no|nope|yes|"
    "nah|great|cool|nice|"
    "hmm|let's|lets|there|try to|i want you to|i'd like you to|(?:can|could|would|will) you(?: please)?|"
    "tell me|"
    "can i (?:have|get)|may i have|could i (?:have|get)|i want|i need|we need|i would like|i'd like|"
    "you(?: have)? to) )+"
)
_FOR_ME: Final = re.compile(" (?:need|want|have|get|like) ")
_GIVES: Final = any_of(
    "generate create make give_me give gimme show_me show suggest suggest_me pick choose select produce "
    "provide "
    "provide_me "
    "invent think_of come_up_with make_up recommend propose say name print output return return_only "
    "let_me_have respond_with reply_with answer_with issue mint draw "
    "send "
    "need want get me us tell_me roll write build compose list"
)
_MAKES: Final = any_of(
    "generate generating create creating make making make_up making_up suggest suggesting invent produce "
    "producing "
    "recommend come_up_with coming_up_with give_me pick picking choose choosing provide issue mint rotate "
    "regenerate "
    "propose think_of i_need i_want let_me_have fill_in set_up_with"
)
"""Verbs that make wherever they stand in a sentence."""

_KEY: Final = (
    "(?:passwords?|passphrases?|passcodes?|pin|pins|pin code|pin number|uuids?|guids?|ulids?|nanoids?|"
    "uuidv?[1-8]|tokens?|"
    "api keys?|apikey|secrets?(?! (?:of|to|about|behind) )|secret keys?|private keys?|public keys?|"
    "signing keys?|encryption keys?|access keys?|"
    "license keys?|product keys?|activation keys?|serial numbers?|ssh keys?|ssh key pair|key ?pairs?|"
    "keypair|rsa keys?|"
    "wpa2? keys?|aes keys?|gpg keys?|wallets?|seed phrases?|mnemonics?|recovery phrases?|otps?|usernames?|"
    "user names?|"
    "nonces?|salts?|voucher codes?|coupon codes?|promo codes?|session ids?|unique ids?|unique "
    "identifiers?|unique codes?|"
    "hex strings?|captchas?|credentials|credit card numbers?|lottery numbers?|lucky numbers?|[0-9]+ digit "
    "codes?|"
    "(?:access|invite|invitation|verification|discount|security|gift|referral|backup|alphanumeric|door|"
    "random) codes?)"
)
_NO_KEY: Final = any_of(
    "resets? managers? generators? validations? validators? fields? forms? inputs? hash hashing hashes "
    "checkers? "
    "strength polic(?:y|ies) rotations? bucket buckets limits? limit counts? counter classification "
    "authentication "
    "auth based recovery change storage storing vault entry page screen protection rules requirements? "
    "security "
    "column columns table tables management encryption ring economy economics sale launch sauce santa "
    "garden recipe "
    "ingredient agent service society admirer life lives room door weapon versions?"
)
"""After a word for a secret: it is about such things, or is none."""

_NO_CHANCE: Final = any_of(
    "forests? access variables? walks? samples? sampling sampled effects? assignment assigned error "
    "errors matrix "
    "matrices graphs? process processes field fields vectors? order search seed seeds state oracle event "
    "events noise "
    "number_generators? number_generation numbers_in numbers_with module library function functions "
    "mutation "
    "mutations drift initialization init projection subspace experiment phase coil copolymer motion "
    "digit_dialing "
    "controlled selection variation variations"
)
"""What `random` is a term of."""

_THROWS: Final = (
    (
        "(?:flip|toss|throw|flipping)(?: me)? (?:an? |the |this |one |two |three |[0-9]+ |some |my "
        ")?(?:virtual |fair )?coins?"
    ),
    (
        "(?:roll|throw|rolling)(?: me)? (?:an? |the |one |two |three |four |five |some |my |[0-9]+ )*"
        "(?:virtual |fair |six sided |[0-9]+ sided )*(?:dice|die|d[0-9]+|[0-9]+d[0-9]+)"
    ),
    "(?:roll|flip|toss|spin|draw|shuffle|reroll) (?:it |them )?(?:again|once more)",
    (
        "(?:pick|draw|deal|choose|select|take|pull)(?: me)? (?:an? |the |any |one |two |three |five |some "
        "|[0-9]+ )?"
        "(?:playing |tarot |uno |top |random )?cards?\\b(?! (?:game|reader|holder|type))"
    ),
    "(?:pick|choose|select) (?:someone|somebody|anyone|a person|a name|one of) ",
    "spin (?:the |a )?(?:wheel|bottle|roulette)",
    "(?:draw|cast) (?:lots|straws|a name|names|a winner)",
    (
        "(?:play |choose |choose between )?(?:heads (?:or|and) tails|rock paper scissors|magic 8 ball|"
        "eeny meeny|truth or dare)"
    ),
    "(?:shuffle|randomi[sz]e|scramble|jumble) ",
    (
        "(?:simulate|do) (?:an? |one |two |[0-9]+ |the )?(?:rolling |flipping |tossing |drawing )?(?:an? "
        ")?(?:coin|dice|die|card|roulette|lottery)"
    ),
    (
        "(?:pick|choose|think of|guess|say|select|give me|name) (?:an? |any |one |some )"
        "(?:[^ ]+ )?(?:numbers? (?:between|from|in)|number \\Z|winner|raffle|lucky)"
    ),
    (
        "(?:pick|choose|think of|select) (?:an? |any )(?:number|letter|colou?r|winner|word|side) "
        "(?:between|from|for|\\Z)"
    ),
    (
        "(?:pick|choose|select) (?:[^ ]+ )?(?:one|some|two|three|[0-9]+|any)?(?: of [^ ]+)?"
        "(?: [^ ]+){0,3} (?:at random|randomly)"
    ),
    "(?:randomly|at random) (?:pick|choose|select|generate|assign|order|give|split|sort)",
    "(?:play|start) (?:[^ ]+ ){0,5}(?:hangman|20 questions|twenty questions|trivia|wordle|quiz|a game) ",
    "think of an? (?:animal|word|number|person|object|card|colou?r) ",
    "(?:tarot|horoscope|fortune cookie)",
)
"""Throws, draws and shuffles, as commands."""

_ROLE: Final = re.compile(
    " (?:act as|you are|you're|be|as|play|acting as) (?:an? |the )?(?:[^ ]+ ){0,3}(?:password|passphrase|"
    "username|name|random|"
    "uuid|number|key|token|dice|coin|card) (?:[^ ]+ )?(?:generator|roller|picker|flipper|dealer) "
)
"""Parts to be played that are chance's."""

_ONE: Final = re.compile(
    "\\A (?:suggest|generate|give|make|create|pick|produce|choose|provide)(?: me| us)? (?:one|some|it|"
    "them|a few|[0-9]+) "
)
_SURE: Final = re.compile(
    " (?:passwords?|pw|pwd|passphrases?|passcodes?|uuids?|guids?|ulids?|api keys?|api tokens?|secret "
    "keys?|private keys?|"
    "encryption keys?|access keys?|seed phrases?|recovery phrases?|random string|one time pads?) "
    f"(?!{_NO_KEY} )"
)
"""Secrets and names for one thing alone: wished for where a short prompt speaks of them and asks nothing."""

_KEYS: Final = re.compile(f" {_KEY} (?!{_NO_KEY} )")

_TELLS: Final = re.compile(f"\\A (?:{'|'.join(_THROWS)})")

_MADE: Final = re.compile(
    f" {_MAKES} (?:(?!that |which |about |who |and |on |how )[^ ]+ ){{0,9}}?{_KEY} (?!{_NO_KEY} )"
    f"|(?:what|which) {_KEY} (?:should|would|could|can|do) (?:i|we)"
    f"|what (?:should|would|could|can) (?:[^ ]+ ){{1,4}}?{_KEY} "
    "|[0-9]+ (?:byte|bit|character|char|digit|letter) (?:[^ ]+ ){0,2}(?:keys?|strings?|codes?|hex|"
    "secrets?|pins?) "
    "(?=\\Z|please |for )"
    "|(?:pick|choose|select|decide)(?: [^ ]+){0,4} (?:at random|randomly) (?:from|between|of|\\Z|[^ ]+ or "
    ")"
    "|\\A (?:you )?(?:decide|choose|pick) (?:for me|at random|randomly) "
    "|what (?:number|card|word|animal) am i thinking"
    f"|\\A (?:{_GIVES} )(?:(?!about |on |to |that )[^ ]+ ){{0,7}}?{_KEY} (?!{_NO_KEY} )"
    f"|\\A (?:{_GIVES} )(?:[^ ]+ ){{0,7}}?random (?!{_NO_CHANCE}(?: |\\Z))"
    f"|(?:what is|what's|whats) an? (?:good|strong|secure|safe|random|unique|new) (?:[^ ]+ )?{_KEY} "
    f"|(?:what is|what's|whats) (?:an?|some|your) random (?!{_NO_CHANCE}(?: |\\Z))"
    "|(?:something|anything|someone|somewhere) (?:random|at random) "
    "|\\A (?:surprise (?:me|us)|i'm feeling lucky) |surprise me \\Z"
)
"""Secrets, names and things of chance that are asked for."""

_NAMED: Final = re.compile(
    "\\A (?:an? |one |some |the |my |[0-9]+ )?(?:new |strong |secure |random |good |unique |safe |fresh |"
    "wifi |[^ ]+ style )*"
    f"{_KEY} (?:please |for |with |of )?(?!{_NO_KEY} )(?:[^ ]+ ){{0,4}}\\Z"
    f"|\\A (?:an? |some |[0-9]+ |one |the )?random (?!{_NO_CHANCE}(?: |\\Z))(?:[^ ]+ ){{1,5}}\\Z"
)
"""The same where they are named and nothing else is said."""

_VARIES: Final = re.compile(
    "\\A (?:(?:give|show|tell|write|generate|make|suggest|do|create|pick|find|try|send|get|recommend|list|"
    "choose|have)"
    "(?: me| us)? )?(?:another|other|some other|any other|any more|some more|a few more|a couple more|one "
    "more|(?:[0-9]+|two|"
    "three|four|five|six|seven|eight|nine|ten) more|a different|different|something (?:else|different|"
    "new)|"
    "an? (?:new|fresh|different|better) (?:one|version|answer|try|idea)|new ones?|others|the next one|"
    "next one|"
    "(?:an )?alternatives?|a variation|variations|anything else|what else|someone else|"
    "more (?=\\Z|please |of |like |[^ ]+s ))(?: |\\Z|(?<= ))"
    "|\\A (?:again|retry|regenerate|reroll|redo|rerun|repeat that|re generate|re roll|once more|one more "
    "time|encore|next \\Z)"
    "|(?:try|do|go|run|generate|write|make|give it|do it|try it|try that|do that|one|roll|flip|answer|say|"
    "guess|spin|draw)"
    "(?: it| that| this| one| me)? (?:again|once more|one more time|another time|over) "
    "| (?:again|once more|one more time) (?:please )?\\Z"
    "|\\A (?:any )?(?:alternatives?|variations?) |(?:can you )?do better |\\A (?:change|mix|switch) (?:it|"
    "things) up "
    "| next \\Z|\\A (?:what|any) other |something (?:else|different) \\Z|another (?:one |please |\\Z)|"
    "same again |(?:not that|not this|i don't like|i do not like|don't like) (?:one|it|that|this|them|"
    "these|those) "
    "|(?:give|show|tell|get) me (?:an? (?:new|different|better|fresh) one|another) "
    "|regenerate (?:the |your |this |that )?(?:response|answer|it|this|that|\\Z)"
)
"""Wishes for another answer than the last."""

_PROGRAM: Final = re.compile(
    "\\A (?:write|implement|create|build|make|design|generate|refactor|fix|debug|add|define|code|complete|"
    "develop|show|give|show me|"
    "give me|draw|find|set|provide|produce) (?:(?!for |to |in |on |with |from |access |invite |invitation "
    "|verification |discount |security |gift |referral |backup |digit |alphanumeric )[^ ]+ ){0,5}"
    + any_of(
        "functions? methods? scripts? code programs? quer(?:y|ies) sql regex regexp components? class "
        "classes app apps "
        "application api(?!_(?:keys?|tokens?|secrets?)) endpoints? unit_tests? test_suite test_cases? "
        "decorator middleware "
        "hook cli parser algorithms? simulation page form website "
        "game generator roller schema table bot implementation pattern expression"
    )
    + "(?: |\\Z)"
)
_HOW: Final = re.compile(
    "\\A (?:in [^ ]+ |using [^ ]+ )?(?:how|why|explain|describe|define|discuss|compare|where|when|who|"
    "which(?! password| pin| username| passphrase| key| one)|show (?:me )?how|give how|does|is|are|was|"
    "were|"
    "do(?! it| that| this| one| another| over)|"
    "what(?! is an? (?:good|strong|secure|safe|random|unique|new) | else| should| would| could| can| "
    "number| card|"
    " password| pin| username| passphrase)|"
    "if|given|suppose|solve|calculate|compute|prove|translate|summari[sz]e|read|count|paraphrase|rewrite|"
    "rephrase|"
    "write an? (?:[^ ]+ )?(?:essay|article|poem|story|book|post)|list the) "
)
_ODDS: Final = re.compile(
    " (?:probability|probabilities|expected|likelihood|likely|odds|chances?|variance|how many ways) "
)

_FOREIGN: Final = bag(
    "passwort passwörter contraseña contraseñas senha senhas пароль пароли wachtwoord hasło şifre "
    "zufällig zufällige zufallszahl "
    "würfel würfle aleatorio aleatoria aleatório aléatoire casuale nochmal encore случайное случайный ещё "
    "снова"
)
_EASTERN: Final = re.compile(
    "密码|密碼|随机|隨機|再来|再來|换一个|換一個|パスワード|ランダム|もう一度|別の|비밀번호|랜덤|다시|mot "
    "de passe|otra vez|"
    "noch einmal|noch ein|au hasard|al azar|à nouveau|di nuovo"
)


def wants_chance(text: str) -> bool:
    """Whether the answer should be another each time, or for each who asks."""
    low = folded(text)
    said = sentences(low)
    wishes = [_wish(one.line) for one in said]
    words = sum(wish.count(" ") - 1 for wish in wishes)
    if words <= _SHORT and any(not _FOREIGN.isdisjoint(one.line.split()) for one in said):
        return True
    if _EASTERN.search(low):
        return True
    odds = any(_ODDS.search(one.line) for one in said)
    for at, wish in enumerate(wishes):
        if _ROLE.search(wish) or (_ONE.match(wish) and any(map(_KEYS.search, wishes))):
            return True
        if _TELLS.match(wish) and not odds and not _is_excused(wish):
            return True
        if _MADE.search(wish) and not _is_excused(wish):
            return True
        if words <= _BRIEF and _SURE.search(wish) and not _is_excused(wish):
            return True
        if len(said) <= _FEW and _NAMED.search(wish) and not _is_excused(wish):
            return True
        if words <= _SHORT and at == len(said) - 1 and _VARIES.search(wish):
            return True
    return False


def _wish(line: str) -> str:
    """The sentence without its manners; `I want`, `can I have` are `give`."""
    manners = _MANNERS.match(line)
    if manners:
        line = f"{' give' if _FOR_ME.search(manners[0]) else ''} {line[manners.end() :]}"
    return line


def _is_excused(wish: str) -> bool:
    """Whether it asks how or why, or for a program."""
    return bool(_HOW.match(wish) or _PROGRAM.match(wish))
