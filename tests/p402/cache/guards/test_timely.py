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
"""


@pytest.mark.parametrize("text", AGES.splitlines())
def test_an_answer_that_ages_is_told(text):
    assert is_time_sensitive(text)
    assert is_time_sensitive(f"Hi, please tell me: {text}")


@pytest.mark.parametrize("text", STAYS.splitlines())
def test_an_instruction_is_no_question_of_the_hour(text):
    assert not is_time_sensitive(text)
