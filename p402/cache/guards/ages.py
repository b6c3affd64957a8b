"""Which phrases ask of the world's present, each with the reason why its answer ages.

Patterns only, on lower-case words with one space about each. `ANYWHERE` tells wherever it stands, `ENDS`
where a question ends; `PLAIN` only where a prompt says little else, since what is given answers the rest:
`how much does a Tesla cost` asks of the world, a tale of apples with their prices does not. `WORLD` is what
no program computes and no tale makes up: it tells in spite of them. Slow facts (a population, a capital) are
left out: they outlive an entry's day. It knows nothing of how a prompt is taken apart.
"""

from typing import Final

from p402.cache.guards.spoken import any_of

_PERIOD: Final = any_of(
    "week month year quarter season semester decade century morning afternoon evening night weekend monday "
    "tuesday wednesday thursday friday saturday sunday spring summer autumn winter fall january february "
    "march april may june july august september october november december game match race episode election "
    "launch earthquake minute hour days weeks months years hours minutes"
)
_OFFICE: Final = any_of(
    "president vice_president prime_minister ceo cto cfo chairman chairwoman chair king queen pope governor "
    "mayor chancellor monarch champion champions coach captain manager secretary speaker leader owner head "
    "minister senator ambassador boss"
)
_FACT: Final = any_of(
    "prices? rates? weather temperature time date day month year version release scores? standings rankings? "
    "news events affairs situation status population traffic trends? inflation unemployment gdp holder "
    "record market balance location exchange value_of_gold value_of_bitcoin value_of_the_dollar "
    "value_of_the_euro state_of_the_art laws? government administration season members? conditions? "
    "wait stock"
)
_THING: Final = any_of(
    "commit element item row file branch tag record value entry node message line possible"
)
"""What is the latest of its kind within a program."""

_MONEY: Final = any_of(
    "usd eur gbp jpy inr cny cad aud chf mxn brl krw try zar sek nok dkk pln sgd hkd nzd rub php thb "
    "dollars? euros? pounds? rupees? yen yuan pesos? francs? won rubles? bitcoins? btc eth ethereum dogecoin "
    "us_dollars? canadian_dollars? pounds_sterling"
)
_COIN: Final = any_of(
    "bitcoin btc ethereum eth dogecoin doge solana xrp litecoin crypto gold silver oil brent wti s_p "
    "s_p_500 sp500 "
    "dow dow_jones nasdaq ftse nikkei dax vix"
)
_STOCK: Final = any_of(
    "aapl tsla msft goog googl amzn nvda meta nflx amd intc spy qqq voo gme amc baba tsm orcl ibm "
    "apple tesla microsoft google amazon nvidia netflix"
)
_SPORT: Final = any_of(
    "nba nfl mlb nhl mls wnba ncaa ufc ipl epl f1 formula_1 premier_league la_liga serie_a bundesliga "
    "ligue_1 "
    "champions_league europa_league world_cup super_bowl world_series olympics wimbledon us_open"
)
_FEAST: Final = any_of(
    "easter ramadan eid diwali holi hanukkah passover purim rosh_hashanah yom_kippur lent ash_wednesday "
    "good_friday "
    "pentecost whitsun mardi_gras carnival chinese_new_year lunar_new_year thanksgiving mother's_day "
    "mothers_day "
    "father's_day fathers_day labor_day labour_day memorial_day black_friday cyber_monday prime_day "
    "super_bowl world_cup olympics oscars grammys emmys world_series eurovision elections? midterms "
    "playoffs final "
    "finals draft grand_prix marathon full_moon new_moon solstice equinox eclipse tax_day bank_holiday "
    "oktoberfest coachella glastonbury comic_con"
)
_FIXED: Final = any_of(
    "christmas halloween new_year new_year's new_years valentine's_day valentines my_birthday"
)
_SHOWS: Final = any_of(
    "movies? films? shows? series songs? albums? books? games? concerts? exhibitions? plays? podcasts? "
    "phones? laptops? "
    "restaurants? events? stocks? apps? memes? hashtags? jobs? headlines stories"
)
_STORM: Final = any_of(
    "rain snow hurricanes? storms? tornado tornadoes earthquakes? wildfires? floods? flooding"
)
_HALT: Final = r"(?= |\Z)"

WORLD: Final = (
    # the news of a day
    (
        "(?:latest|newest|current|most recent|today's|todays|tonight's|yesterday's|this morning's|recent|"
        "breaking|top) "
        "(?:[^ ]+ )?(?:news|headlines|stories)"
    ),
    "news (?:about|on|from|in|of)",
    "(?:today's|tonight's|tomorrow's) (?:[^ ]+ )?(?:weather|forecast|scores?|games?|match|price|rate)",
    # releases, prices and records move
    (
        "(?:latest|newest|current|most recent) (?:[^ ]+ )?"
        "(?:versions?|releases?|prices?|scores?|weather|standings|exchange rates?|forecast)"
    ),
    f"(?:what is|what's|whats|in [^ ]+ what's|which is) the (?:latest|newest) (?!{_THING}(?: |\\Z))[^ ]+",
    f"(?:prices? of|value of) {_COIN}",
    f"{_COIN} prices?",
    "weather (?:in|for|at|near|today|tonight|tomorrow|this|now)(?! app)",
    f"(?:who is|who are|whos|who's) (?:the |our |now )?(?:[^ ]+ ){{0,2}}{_OFFICE} of",
)

ANYWHERE: Final = (
    any_of(
        "today todays today's tonight tonight's yesterday yesterday's tomorrow tomorrow's currently nowadays "
        "recently presently upcoming these_days right_now as_of_now at_the_moment at_present so_far_this "
        "from_now by_now just_now what's_new what_is_new"
    ),
    any_of("is are do does has have open happening playing trending available") + " now",
    f"this (?:{_PERIOD}|past|coming|very)",
    f"(?:last|next|past|previous|coming) {_PERIOD}",
    "(?:[0-9]+|a|an|few|two|three|several|couple) (?:second|minute|hour|day|week|month|year)s? ago",
    "(?:what|which) (?:time|day|date|month|year) (?:is it|is(?! [0-9])|are we|it is)",
    "what time (?:does|do|will|did|can|should)",
    "(?:what's|what is) the (?:time|date|day)(?! complexity| in (?:milli)?seconds| in minutes| in hours)",
    "when (?:is|are|does) (?:the |my )?next",
    "how (?:many|long) (?:more )?(?:days |weeks |months |hours |minutes |time )?(?:until|till|left|since)",
    "how old (?:is|are)",
    f"current (?:[^ ]+ ){{0,3}}(?:{_FACT}|{_OFFICE})",
    f"(?:who is|who are|whos|who's) (?:the |our |now )?(?:[^ ]+ ){{0,2}}{_OFFICE}",
    f"(?:latest|newest|most recent) (?!{_THING}(?: |\\Z))[^ ]+",
    any_of("weather forecast headlines breaking_news the_news live_scores?"),
    "news (?:about|on|from|in)",
    "score of (?:the|last)",
    any_of("stock share market gas oil gold silver bitcoin ethereum crypto") + " prices?",
    "price of (?:gold|silver|oil|gas|bitcoin|btc|ethereum|eth|[^ ]+ (?:stock|shares?))",
    "how much is (?:bitcoin|btc|gold|ethereum)",
    "(?:exchange|mortgage) rates?",
    "traffic (?:on|in|to|near)",
    "(?:who is|who's|whos) (?:winning|leading|ahead)",
    "(?<!why )(?:is|are) (?:[^ ]+ ){1,3}still",
    # what is said of one day alone
    any_of("joke quote word fact song picture photo deal question verse tip soup news dish") + " of the day",
    # what a search would find
    "(?:search|browse|check|google) (?:the )?(?:web|internet|online)",
    "(?:up to the minute|live) (?:score|scores|results|price|prices|updates?|traffic|data)",
)

ENDS: Final = (
    "(?:now|the latest|still) \\Z",
    "(?:is|are) (?:[^ ]+ ){1,4}(?:open|closed|down|alive) \\Z",
)
"""What a question ends with."""

PLAIN: Final = (
    # rates: what one money is in another
    f"(?P<one>{_MONEY}) (?:[0-9]+ )*(?:to|in|into|vs|2) (?!(?P=one) ){_MONEY}{_HALT}",
    (
        f"how (?:many|much) {_MONEY} (?:is|are|for|in|equals?|do i get for|to) (?:an? |one |the "
        f")?(?:[0-9]+ )*{_MONEY}{_HALT}"
    ),
    f"(?:how much|what) (?:is|are) (?:[0-9]+|an?|one|the) (?:[0-9]+ )*{_MONEY} (?:worth|in)",
    f"\\A {_MONEY} {_MONEY} \\Z",
    f"(?:{_MONEY}|inflation|unemployment|fed|base|prime|poverty|approval|vacancy) rates?(?! of [0-9]){_HALT}",
    # stocks, coins and indices are traded
    f"{_STOCK} (?:stocks?|shares?|price|quote|ticker|earnings|market cap)",
    (
        f"(?:{_COIN}|[^ ]+ stock) (?:price|level|level today|value|rate|index|doing|at|chart|quote|close|"
        "close at)"
    ),
    f"\\A (?:bitcoin|btc|ethereum|eth|s p 500|nasdaq|dow jones|news|weather|{_STOCK}) \\Z",
    "(?:trading|quoted|priced|listed) (?:at|for) ",
    (
        f"(?:is|are|did|has|will) (?:the )?(?:{_COIN}|{_STOCK}|market|stock market|economy) (?:up|down|"
        "crash|crashed|rise|fall)"
    ),
    (
        "(?:how is|how's|hows|how are) (?:the )?(?:[^ ]+ )?(?:markets?|economy|traffic|dollar|euro|"
        "stocks?|weather|nasdaq|dow)"
    ),
    (
        "(?:market cap|net worth|stock price|share price|inflation rate|unemployment rate|fed rate|base "
        "rate|jackpot|fuel price|gas price) (?:of|for) "
    ),
    "(?:[^ ]+ )(?:net worth|market cap|jackpot|ticker|fed rate|base rate|prime rate)",
    # prices are changed by who sells
    "how much (?:is|are|does|do|would|will) (?:[^ ]+ ){1,5}(?:costs?|go for|sell for|run for|worth|charge)",
    (
        "how much (?:is|are|for) (?:an? |the )?(?:new |used )?(?!the time|of |[0-9])[^ ]+(?: (?!of|in|"
        "plus|times|minus|and )[^ ]+){0,3} \\Z"
    ),
    "(?:price|prices|pricing|cost|fare|fee) (?:of|for) (?:an? |the |my )?(?:new )?",
    "(?:cheapest|best|tickets?|deals?) (?:[^ ]+ ){0,3}(?:to buy|on sale|tickets|flights?|deals?)",
    "how (?:expensive|cheap|pricey|dear) (?:is|are)",
    "(?:the )?cheapest (?:[^ ]+ ){1,3}(?:at|in|near|on|for|to|from)",
    (
        "\\A "
        f"{any_of('flights hotels trains tickets buses jobs apartments houses events concerts restaurants')} "
        "(?:to|in|near|from|for|at) "
    ),
    # the sky outside
    (f"\\A (?:any )?{_STORM} (?:in|near|update|warning|watch|tracker|path|forecast|\\Z)"),
    f"(?:where is|where's|when will) the {any_of('hurricane storm typhoon cyclone fire eclipse comet iss')}",
    (
        "(?:tornado|storm|flood|weather|hurricane|tsunami|heat|air quality|amber) (?:warning|watch|alert|"
        "advisory)"
    ),
    "(?:what|which) (?:planets|stars|constellations|phase) (?:is|are) (?:the moon|visible|out|up)",
    (
        "is it (?:still |now |currently )?(?:raining|snowing|windy|sunny|foggy|cloudy|humid|freezing|"
        "daytime|nighttime|dark|"
        "hot|cold|warm|safe to (?:travel|go|visit|swim))"
    ),
    "(?:will|does|did|going to) (?:it |there )?(?:be )?(?:rain|snow|storm|hail|freeze)\\b",
    "(?:do|should|will) i need (?:an? )?(?:umbrella|jacket|coat|sunscreen)",
    "(?:how hot|how cold|how warm|how windy|how humid) is (?:it|the weather)(?! on average| when)",
    (
        "(?:temperature|humidity|air quality|pollen|uv index|wind|tides?|snow|aqi|rainfall) (?:in|at|near|"
        "outside) "
        "(?!an? |the |degrees|celsius|kelvin|fahrenheit|c |f |k |which|this|each|your|excel|python)"
    ),
    (
        "(?:sunset|sunrise|moonrise|moonset|high tide|low tide|moon phase|dusk|dawn) "
        "(?:in|at|time|times|near|for|today|tonight|\\Z)"
    ),
    "(?:moon phase|phase of the moon|moon tonight|northern lights|aurora) (?!of )(?:visible|in|forecast|\\Z)",
    "(?:when|what time) (?:is|does) (?:the )?(?:sun|moon|sunset|sunrise|tide|dusk|dawn)",
    (
        "\\A (?:the )?(?:local )?time (?:now )?in (?!an? |the |seconds|minutes|hours|milliseconds|ms|"
        "which|python|java)"
    ),
    "\\A (?:the )?(?:local )?(?:time|date|day|time and date|date and time) (?:now )?\\Z",
    # what goes on, what is on
    (
        "(?:what is|what's|whats) (?:happening|going on|up) (?!(?:in|with|inside|here|if|when|to) (?:this|"
        "that|my|these|each|"
        "line|here|it|you|code|your|the (?!world|news|middle|us |uk |usa |city|country|war|market|"
        "economy)))"
    ),
    (
        "(?:what is|what's|whats|anything good|what) (?:good |new |playing )?(?:on|playing|showing|"
        "trending|hot|open) (?:on |at |in |near )?"
        "(?:tv|television|netflix|hulu|hbo|disney|prime|cinema|cinemas|theaters?|theatres?|twitter|x |"
        "youtube|tiktok|spotify|"
        "the (?:radio|news|cinema|theater|tv|movies)|me |here|\\Z)"
    ),
    (
        f"(?:what|which|any) (?:new |good |popular )?{_SHOWS} (?:is|are|to|came|come|should) "
        "(?:out|on|open|playing|showing|coming|new|popular|trending|released|there|available|happening|up|"
        "watch|i watch)"
    ),
    (
        "(?:what|which|who) (?:is|are) the (?:top|best|hottest|biggest|new|trending|most popular|number "
        "one|no 1) "
        f"(?:[0-9]+ )?(?:[^ ]+ )?{_SHOWS}{_HALT}"
    ),
    f"\\A (?:top|best|new|popular|trending) (?:[0-9]+ )?(?:[^ ]+ )?{_SHOWS} (?:in |on |out |to |\\Z)",
    (
        "(?:richest|wealthiest|highest paid|highest grossing|best selling|most followed|most subscribed|"
        "most streamed|"
        "most viewed|most valuable|most popular|oldest living|top ranked|number one) "
        "(?:[^ ]+ )?(?:person|man|woman|people|player|actor|athlete|company|companies|channel|video|song|"
        "movie|film|brand|app|stock|singer)"
    ),
    # scores, fixtures and draws
    (
        f"{_SPORT} (?:table|standings|scores?|results?|schedule|fixtures?|leaders?|champions?|mvp|"
        "winners?|rankings?|games?|"
        "playoffs|bracket|odds|draft)"
    ),
    (
        "\\A (?!(?:[^ ]+ )*(?:z|t|f1|credit|test|iq|apgar|gpa|brier|bleu|rouge|risk|film|music|raw|"
        "standard|scaled|total|average|"
        "mean|median|what|how|define|calculate|explain|search|loop|query|for|the|a|an|code) )"
        "(?:[^ ]+ ){1,4}(?:scores?|fixtures?|standings|lineup|line up|odds|kickoff|live|starting xi)(?: "
        "please)? \\Z"
    ),
    "(?:what is|what's|whats|what was) the score\\b(?! of (?:a|an|each)\\b| function)",
    (
        "(?<!why )(?<!how )(?<!when )(?<!year )(?<!where )(?:did|have|has) (?:the )?(?:[^ ]+ ){1,3}"
        "(?:win|won|lose|lost|score|scored|play|beat|qualify|qualified|advance|die|died|resign|resigned|"
        "retire|retired|"
        "release|released|announce|announced|launch|launched|come out|come back|dropped?|happen|"
        "happened)\\b"
    ),
    (
        "who (?:won|wins|is winning|is leading|leads|scored|is top|tops|is favou?rite|is ahead|hosts|is "
        "hosting)\\b"
    ),
    (
        "who (?:plays|is playing|do|does|are) (?:(?:[^ ]+ ){0,2}play(?:ing)? )?(?:in|for|against|on|"
        "tonight|at|next|\\Z)"
    ),
    "top of the (?:table|league|charts?|box office)",
    (
        "(?:when|what time|where|what channel) (?:do|does|will|is|are) (?!i |we |you |one )(?:the |my "
        ")?(?:[^ ]+ ){1,9}"
        "(?:end|ending|play|playing|start|starting|air|airing|kick off|come out|coming out|launch|land|"
        "arrive|depart|premiere|resume|"
        "open|close|on tv|on|due|back|released?|fight|fighting)(?: [^ ]+){0,2} \\Z"
    ),
    (
        "(?:next|upcoming) (?:[^ ]+ ){1,3}(?:game|match|fixture|race|episode|season|election|concert|tour|"
        "launch|eclipse|"
        "holiday|flight|train|bus|release|event|album|movie|fight|gig|show|meeting|update)"
    ),
    (
        "(?:powerball|lottery|lotto|mega millions|euromillions|election|exam|poll|race|match|draft) "
        "(?:results?|winning numbers|numbers|winners?|jackpot|drawing)"
    ),
    # a thing's status in the world
    "status of (?!an? |http|each|this )",
    "(?:flight|train|order) [^ ]+ (?:status|delayed|on time|arrival|gate)",
    (
        "(?:flight|order|train|service|server|visa|shipment|delivery|package|network) (?:status|delays?|"
        "tracking)"
    ),
    (
        "(?:track|where is|where's|wheres|when will) (?:my|our|flight|the) (?:[^ ]+ )?(?:order|package|"
        "parcel|refund|delivery|"
        "flight|train|bus|shipment|[a-z]{2}[0-9]{2,4})"
    ),
    "\\A (?:flight )?[a-z]{2} ?[0-9]{3,4} (?:arrival|departure|delayed|gate|landed)",
    (
        "(?:is|are) there (?:any |an? )?(?:[^ ]+ ){0,2}(?:strikes?|delays?|outages?|traffic|storms?|"
        "hurricanes?|wildfires?|"
        "earthquakes?|protests?|tickets|flights?|trains?|buses|vacanc(?:y|ies)|games?|war)\\b"
    ),
    (
        "(?:is|are) (?:[^ ]+ ){1,4}(?:in stock|sold out|delayed|cancelled|canceled|on strike|out yet|"
        "available yet|"
        "offline|online|on sale|on tour|at war|at home)"
    ),
    "what (?:should|can|could) (?:i|we) watch",
    (
        "(?:is|will|are) (?:the )?(?:my )?(?:train|bus|flight|plane|tube|subway|ferry)s? (?:be )?(?:late|"
        "delayed|on time|running|cancelled)"
    ),
    (
        "(?:have|has) (?:died|been killed|been released|been announced|been arrested|been elected) "
        "(?!before|in [0-9])"
    ),
    "any (?:updates?|news|word) (?:on|about|from|yet|\\Z)",
    "updates? (?:on|about) (?:the )?",
    (
        "(?:how is|how's|hows|how are) (?!you|it |things|your|this)(?:[^ ]+ ){1,3}(?:doing|performing|"
        "trading|polling)"
    ),
    "(?:lts|stable|current|supported) (?:[^ ]+ )?versions?",
    "(?:what|which) (?:[^ ]+ )?(?:versions?|models?|releases?) (?:is|are) (?:out|stable|current|supported)",
    (
        "how many (?:subscribers|followers|views|likes|medals|goals|titles|trophies|grand slams|employees|"
        "users|downloads|"
        "stars|episodes|seasons|satellites|seats) (?:does|do|has|have|are|is)"
    ),
    (
        "what (?:did|has|does) (?!it |he |she |they |i |you |we |the author|the passage|this |that "
        ")(?:the )?(?:[^ ]+ ){1,3}"
        "(?:announced?|say|said|tweet|tweeted|decided?) (?:about (?:[^ ]+ ){1,4})?\\Z"
    ),
    "(?:what is|what's|whats) the deal with",
    "(?:what|which) (?:century|decade|season|quarter) (?:is it|are we in)",
    # lives and offices end
    (
        "(?:is|are|was) (?!it |this |that |there |a |an )(?:[^ ]+ ){1,4}(?:dead|alive|still alive|retired|"
        "married|divorced|pregnant|"
        "single|dating|in jail|in prison|injured|ill|in office|in power|in charge|for sale|in hospital|"
        "missing|over|shut down|on fire)"
        "(?: or [^ ]+)? \\Z"
    ),
    "(?:does|do|can|may|should|could) (?:[^ ]+ ){1,4}still ",
    (
        "who (?:leads|runs|owns|rules|governs|heads|coaches|manages|captains|controls|holds|chairs|reigns|"
        "is in charge|is in power|is running|is dating|is married|lives|succeeded|replaced|is replacing)"
    ),
    (
        "(?:which|what|how many) [^ ]+ (?:is|are) (?:at war|on strike|in the lead|in nato|in the eu|in "
        "orbit|in space)"
    ),
    "is [^ ]+(?: [^ ]+){0,2} out(?: yet)? \\Z",
    "who (?:is|are) (?:[^ ]+ )?(?:dating|married to|running for|in power|in charge|in the lead|on tour)",
    (
        f"\\A (?!(?:[^ ]+ )*(?:is|was|are|were|said|says) )(?:the )?(?:[^ ]+ ){{0,3}}{_OFFICE} of (?!the "
        f"(?:house|hill))(?:[^ ]+ ){{1,4}}\\Z"
    ),
    # days that move, and days until
    (
        "(?:when|what day|what date|which day|how long|how soon|how far) (?:is|are|was|does|do|will|till|"
        "until|away is) "
        f"(?:[^ ]+ ){{0,4}}{_FEAST}(?! [0-9]{{4}})(?: |\\Z)"
    ),
    f"(?:what|which) (?:day|date|weekday|day of the week) (?:is|does|will) (?:[^ ]+ )?{_FIXED}",
    (
        "(?:days|weeks|months|hours|sleeps|long|time|countdown) (?:left )?(?:until|till|til|to|before) "
        f"(?:[^ ]+ ){{0,3}}"
        f"(?:{_FEAST}|{_FIXED})"
    ),
    f"\\A {_FEAST} (?:(?:date|dates|day|time|this year|[0-9]{{4}} date) )?\\Z",
    "(?:days|weeks|months|sleeps|countdown) (?:until|till|til)",
    "when (?:do|does) (?:the |we )?(?:clocks?|change the clocks|daylight saving|dst|summer time)",
    "what happened (?:on|in|to|at|with) (?:the )?(?:stock market|market|wall street|bitcoin|news|world)",
    "is (?:the )?(?:[^ ]+ ){1,3}(?:a )?(?:holiday|leap year|weekend) \\Z",
    # where and who the caller is, and what the account holds
    (
        "(?:what is|what's|whats|show me|check|find) (?:my|our) (?:[^ ]+ ){0,2}(?:ip|ip address|location|"
        "balance|order|orders|"
        "subscription|usage|quota|bill|invoice|calendar|schedule|inbox|battery|timezone|time zone|browser|"
        "emails?|messages?|"
        "account|plan|points|appointments?|meetings?)"
    ),
    "\\A (?:my ip|where am i|what is my ip|my location|my balance)",
    "how (?:much|many) [^ ]+ (?:[^ ]+ )?do i (?:still )?(?:have|owe)",
    "(?:what is|what's|whats) (?:on|in) (?:my|our) (?:calendar|schedule|agenda|inbox|account|cart|list)",
    (
        "(?:do|did) i have (?:any )?(?:[^ ]+ )?(?:meetings?|emails?|messages?|appointments?|orders?|"
        "notifications?|"
        "calls?|mail|credits?|money left)"
    ),
)
"""What ages where it is asked without anything given."""
