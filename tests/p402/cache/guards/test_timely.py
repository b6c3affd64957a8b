"""A prompt whose answer ages is told from one that only speaks of `now` or `current`."""

import pytest

from p402.cache.guards import is_time_sensitive

AGES = """\
What's the weather in Paris?
What time is it in Tokyo?
Who is the president of France?
Who is the current CEO of Starbucks?
What is the current price of bitcoin?
latest news about the election
What is the latest version of Python?
What was the score of last night's game?
Is the pharmacy on Main Street open now?
What happened in Berlin today?
What should I wear tomorrow?
What are the best phones this year?
How many days until Christmas?
What is the exchange rate of EUR to USD?
who won the super bowl
AAPL stock price
What is trending right now?
What movies came out last week?
Is it going to rain this weekend?
Tesla share price
What was the S&P 500 closing price yesterday?
What are current 30 year mortgage rates?
How old is Paul McCartney?
When is the next SpaceX launch?
What time does the library close?
Did Arsenal win?
What did they announce 3 days ago?
Which phone is the newest one
Wie ist das Wetter heute?
今天天气怎么样
¿Qué hora es ahora?
"""

ASKS_OF_THE_WORLD = """\
convert 100 USD to EUR
USD to EUR
Is it raining in London?
Temperature in Paris
time in Tokyo
What is happening in Gaza
What's happening in Ukraine?
AAPL stock
AAPL price
BTC price
S&P 500 level
how's the market
Lakers score
Did the Lakers win
When does Arsenal play?
next Arsenal game
Who plays in the final
what's on TV
What movies are out
What are the top movies
Powerball results
status of flight BA123
When is Easter?
When is the Super Bowl
days until Christmas
Who leads France?
who runs OpenAI
Who owns Twitter
Is Queen Elizabeth dead?
moon phase
sunset in Paris
What is my IP
How much does a Tesla cost
How do I find the latest version of python
In python what's the latest release
Create a report of today's news about python
Generate a summary of the latest news on swift
how can i see the current price of bitcoin in excel
Tell me today's top news story
Give me the latest song of Taylor Swift
tell me the latest novel by Stephen King
translate today's headlines into French
"What is the weather today?"
Search for "bitcoin price today" and tell me
weather in Paris today
What's Tesla trading at?
gold price per gram
convert 50 pounds to euros
how many rupees is one dollar
1 BTC in USD
£20 in dollars
$100 to yen
Will it snow in Denver?
how hot is it in Dubai
10 day forecast for Rome
Who is the UK prime minister?
who's the manager of Liverpool
Who is the head coach of the Bears?
what games are on tonight
man utd score
India vs Australia score
Premier League table
nba standings
who is top of the league
When do the Oscars air?
when is ramadan
when is thanksgiving
what day is christmas on
how long until summer
Is Pelé alive?
did elon musk resign
Has GTA 6 come out?
is github down
flight UA456 status
where's my package
what's my IP address
what is my account balance
new movies on netflix
what should i watch on netflix
Who owns Instagram?
who is dating Taylor Swift
Taylor Swift net worth
what's going on in Sudan
any news from Kyiv?
traffic on the M25
is the M25 closed
sunrise time Oslo
When is the next full moon
is it dark in Sydney
air quality in Delhi
How much is an iPhone 16?
price of a PS5
cheapest flights to Rome
gas prices near me
what's the Fed rate
what is the inflation rate in the US
who won the election
election results Ohio
Which countries are at war?
what restaurants are open near me
what time do banks open
what time is kickoff
word of the day
how's the weather
will the train be late
are there delays on the Northern line
is Python 3.14 out
What is the newest iPhone?
what LLM is the best right now
most subscribed youtube channel
who is the richest person in the world
What's the current temperature?
is Messi injured
who does Ronaldo play for
When does Daylight Saving end?
Is tomorrow a holiday?
Write me a summary of today's news
Summarize the latest news on AI
Make a list of upcoming concerts in Berlin
give me the latest score of the Lakers game
In JavaScript land, what is the latest version of React?
How do I install the latest version of node?
Translate today's news into German
I am in Paris. What should I wear today?
"Who is the president of France?"
Look up "nvidia stock price"
Write a poem. Also, what is the weather in Oslo?
Fix this code. By the way, who won the match last night?
what happened on the stock market
Is Boris Johnson still an MP?
how many people have died in the war in Gaza
how many days left in the year
what's the score
is the store open
latest iphone price
what year is it
bitcoin
tsla
weather
time
news
Wetter in Berlin
quel temps fait-il à Paris
precio del dólar
whats the dollar rate
usd inr
How is Apple stock performing?
What's the price of gold?
how expensive is a Big Mac in Norway
how much are Taylor Swift tickets
What is the cheapest phone at Best Buy?
Is it sunny in Madrid?
do I need a jacket in Boston
humidity in Singapore
rain in Seattle?
What's the weather like
hurricane update
where is the hurricane
Is there a tornado warning in Dallas?
who do the Yankees play
Real Madrid fixtures
what's the score of the Celtics game
did we win
who won the grand prix
When does the new season of The Bear come out?
when is the next episode of Severance
Who is in charge of NATO?
who's president
who is the CEO of Intel
who leads the Labour party
Who's the richest man alive?
Who owns the Washington Post?
who runs Google DeepMind
is Fidel Castro alive
Is Pope Francis dead or alive?
Has Biden resigned?
Are Brad and Angelina divorced?
Is the war in Ukraine over?
is the government shut down
is ChatGPT down?
is there an outage at Verizon
status of my order
What's the status of the James Webb telescope?
when is my next appointment
what's on my calendar
how much money do I have
how many credits do I have left
what's my public IP
What day is Thanksgiving?
when is Diwali
How many days until Halloween
what time is sunset
what phase is the moon in
which planets are visible
what's playing at the cinema
what's good on Netflix
best movies in theaters
number one song
top 10 songs on Spotify
which app is trending
Is Python 2 still supported?
what's the LTS version of Ubuntu
Which iOS version is out?
what is the newest GPT model
How many subscribers does MrBeast have?
how many people live in Tokyo now
what is the unemployment rate
What are mortgage rates
When is tax day?
is the bank open
what time does Walmart close?
Are there any trains to Paris?
flights to Tokyo
hotels in Rome
Can I still vote?
what is happening with Boeing
What's the deal with the strike?
Tell me the news.
Any earthquakes in Japan?
Is it a leap year?
what did the Fed announce
what did Trump say
What century are we in?
what's the date
Summarise what happened in parliament this morning
Write a tweet about today's match
"""

STAYS = """\
Write a function that returns the current node
now rewrite it
Now rewrite it in Rust
How do I print the current working directory from a shell script?
How do I check the current branch in git?
What is the difference between weather and climate?
Explain how electric current flows
What is alternating current?
Write a poem about the weather
Tell me a story about a girl who wakes up today with wings
How do I get the current date in JavaScript?
Write a SQL query for the orders placed today
Translate "what time is it" into French
Now, explain recursion
How do I see which files changed in the latest commit?
The loop visits the next node and the current element. Is it correct?
Last but not least, sort the list
Explain the last line of this code
Who was the first president of the USA?
Who is the main character of Hamlet?
What is the time complexity of quicksort?
Is zero a natural number?
Implement a debounce hook that ignores the latest call
Refactor this method so that the current user is passed in
Summarize the French Revolution
What is the capital of Peru?
What time is 3pm EST in UTC?
What year did Einstein win the Nobel Prize?
SELECT now() FROM dual, what does it return
How do I parse a date in Python?
Write a function that fetches today's weather from an API
Implement a stock price class in Java
What is the price elasticity of demand?
Explain what inflation is
How does a stock market work?
What is a currency exchange?
Who wrote Hamlet?
When did World War II end?
Who won the 1998 World Cup?
Why did Rome fall?
What does alive mean?
Calculate the total score of 5 and 6
How do I compute an F1 score?
What is a z score?
Convert 5 miles to kilometers
Convert 100 celsius to fahrenheit
What is the temperature of the sun?
Why is the sky blue?
How much is 15% of 80?
How many dollars are in 500 cents?
What causes a full moon?
What is the speed of light?
What happens when I press Ctrl+C?
What is happening in this code?
What's going on with my loop?
How can I get yesterday's date in SQL?
How do I format the current time in Rust?
Who is the narrator of Moby Dick?
What is a status code 404?
Explain the status of women in Rome
What is the time in milliseconds of an hour?
Translate good morning into Spanish
Translate "the weather is nice today" to French
Write a story about a king who rules today
Write a limerick about the stock market
Give me a recipe for Easter bread
Explain who owns the copyright of a photo
What is the plot of The Sunset Limited?
When should I use async?
When does the garbage collector run?
When does a promise resolve?
Who invented the telephone?
Is 7 prime?
Did dinosaurs have feathers?
Summarize this article: The market closed higher on Monday.
What is the capital gains formula?
Name three noble gases
What is the cost function in linear regression?
What is the score function in sklearn?
Is Python dynamically typed?
What does git status do?
what is an open market
How does the moon cause tides?
Show me how to open a file
Does light travel faster than sound?
What day of the week was July 4, 1776?
How do I check if a server is online in Python?
What are the best practices for REST APIs?
How do I reverse a list?
What is the difference between a king and an emperor?
Which element has the symbol Au?
gold
Write a bash script that prints the weather
Create a table of stocks with columns price and date
Rephrase: I will see you tomorrow
Is water wet?
Draft an email saying the meeting is tomorrow
What is the boiling point of water at sea level?
How do I get the current user in Django?
How do I sort by date in pandas?
Write a cron job that runs today's backup
What is the time complexity of merge sort?
Explain the offside rule
What is a hat trick?
What does CEO stand for?
What is the role of the president of the senate?
Who painted the Mona Lisa?
Who discovered penicillin?
When did the Berlin wall fall?
What is the distance to the moon?
How does the moon affect tides?
How do you play chess?
Is the earth flat?
Are tomatoes fruit?
Who was Winston Churchill?
What is 20% of 50 dollars?
If a shirt costs $20, how much do 3 shirts cost?
A train leaves at 3pm. When does it arrive if it takes 2 hours?
Compute the score of a softmax layer
Correct the grammar: he go to school now
Describe the plot of Titanic
What are the top causes of World War I?
What is the best sorting algorithm?
What are good practices for naming variables?
What is a stock option?
Define market capitalization
List the planets in order
What is the formula for compound interest?
How do bonds work?
What is the meaning of life?
What's up with this error: NullPointerException
Why is my code still running?
Is null an object in JavaScript?
Does Python have a switch statement?
What happens on the event loop?
How can I check if a port is open in Linux?
How to close a file in C?
Write a haiku about rain
Write a news article template
Create a weather component in React
How do I call a weather API?
Convert 10 kg to pounds
Convert 3 feet to meters
How many pounds are in a kilogram?
What is the temperature in Kelvin of absolute zero?
How long does it take to boil an egg?
When should you use a mutex?
When do you use whom?
Who does the pronoun refer to in this sentence?
Give me a list of fruits
Write an email inviting Bob to dinner tomorrow
"""


@pytest.mark.parametrize("text", AGES.splitlines())
def test_an_answer_that_ages_is_told(text):
    assert is_time_sensitive(text)
    assert is_time_sensitive(f"Hi, please tell me: {text}")


@pytest.mark.parametrize("text", ASKS_OF_THE_WORLD.splitlines())
def test_a_plain_question_about_the_world_is_told_in_any_case(text):
    assert is_time_sensitive(text)
    assert is_time_sensitive(text.lower())


@pytest.mark.parametrize("text", STAYS.splitlines())
def test_an_instruction_is_no_question_of_the_hour(text):
    assert not is_time_sensitive(text)


@pytest.mark.parametrize(
    "wish",
    [
        "Write a Python function that sorts a list.",
        "Write a poem about the sea.",
        "Tell me a story about a girl who wakes up today.",
        "Fix this code.",
        "Translate good morning into German.",
        "How do I reverse a list in Python?",
    ],
)
@pytest.mark.parametrize("question", ["What is the weather in Oslo?", "Who won the match last night?"])
def test_a_program_a_tale_or_a_translation_hides_no_question_beside_it(wish, question):
    assert not is_time_sensitive(wish)
    assert is_time_sensitive(f"{wish} {question}")
    assert is_time_sensitive(f"{question} {wish}")


@pytest.mark.parametrize(
    "text",
    [
        "Translate the following into French: What is the weather today?",
        'Translate "what is the weather today?" into French',
        "Proofread this:\nI saw the news yesterday. Is it still raining?",
    ],
)
def test_a_passage_to_be_worked_on_asks_nothing(text):
    assert not is_time_sensitive(text)


@pytest.mark.parametrize(
    "text",
    [
        "Tom has 5 apples and sells 2. How much does an apple cost?",
        "The price of a laptop is $1000. It falls by 20%. How much is the laptop?",
        "Anna scored 12 points in the first game and twice as many in the second. How many did she score?",
    ],
)
def test_what_the_prompt_gives_is_not_asked_of_the_world(text):
    assert not is_time_sensitive(text)
    assert is_time_sensitive("How much does an apple cost?")


def test_both_ends_of_a_long_text_are_read_and_its_middle_is_not():
    filler = "The sea is deep and blue. " * 500
    question = "What is the weather in Paris today?"
    assert not is_time_sensitive(filler)
    assert is_time_sensitive(f"{question}\n{filler}")
    assert is_time_sensitive(f"{filler}\n{question}")
    assert not is_time_sensitive(f"{filler}\n{question}\n{filler}")
