"""A wish for chance, a secret or another answer is told from a question about such things."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.cache.guards import wants_chance

WANTS = """\
Generate a strong password
Generate a UUID
Flip a coin
flip a coin for me
roll two dice
Roll a d20
Give me a random number
pick a card
another
Another one please
surprise me
a different one
try again
regenerate
Create a secure passphrase of 6 words
I need a 16-character password with symbols
Suggest a password for my Gmail
Make me an API key
generate a secret key for Flask
Generate 5 random UUIDs
give me a guid
new token please
Create a random username
give me more
more
10 more
tell me another joke
one more time
do it again
heads or tails?
rock paper scissors
Pick a number between 1 and 10
Choose a random country
think of a number
random fact
Random word
shuffle this list: a, b, c
Draw a card from the deck
Pick a winner from: Ann, Bob, Eve
what's a random number between 1 and 100?
Can you generate a WPA2 key?
Generate a bitcoin seed phrase
give me lottery numbers
something else
I don't like it, give me a different one
Give me another 5 names
can you try that again?
Say something random
Pick one at random: red, green, blue
passwort generieren
mot de passe fort
生成一个密码
Create a 4 digit PIN
give me a one time password
Generate an SSH key pair
generate a password in Python
What's a good password?
spin the wheel
toss a coin 10 times
magic 8 ball: will I pass?
Randomly select three of these names: Al, Bo, Cy, Di
Hi, please tell me: a random number
Can you give me some other ideas?
other suggestions
no, another
reroll
I want a new one
uuid
password
Generate a random hex string of 32 bytes
Make up a random name
Generate a password for my app
Suggest a password for the login page of my website
Create a 12 character password, expected to be hard to crack
Please give me a list of 10 strong passwords
make up a PIN for my card
Generate a verification code
I need an invite code for my server
could you produce a JWT secret for my API
new UUID v4
Give me 3 different passphrases
Print one GUID, nothing else.
Hi! A strong password please. Thanks!
I'm building a site. Generate an API key for it.
You are a password generator. Generate a password.
Give me a random city in Europe
Tell me a random fact about cats
Can you roll a die?
toss a fair coin
choose between heads and tails
Let's play rock paper scissors
Pick a random movie for tonight
give me some more ideas
show me other options
another example
I want a different answer
any other suggestions?
rewrite it again
explain that once more
what else?
Generate a random story
Create random test data with 5 users
make a random playlist
Generate a username for a gamer girl
I forgot my password, give me a new one
I want you to act as a password generator. I'll give you length and you give a password. length = 8
Act as a strong password generator and produce one for me
Help me come up with a strong password
Can you help me create a password?
I need help making a new password for my bank
Would you mind generating a secure password?
Make a password that's easy to remember
password ideas
strong password ideas
Give me some ideas for passwords
What would be a good password for my wifi?
What password should I use for my email?
Which password should I choose?
Could you please come up with a memorable passphrase for my disk?
Let me have a random string
I'd like a UUID, please
a 32 character hex key please
32-byte base64 key
Generate 256-bit AES key
Generate an encryption key for me to use in prod
create secret for HS256
generate a Django SECRET_KEY
fill in JWT_SECRET in this .env file
Make a .env file with a database password
Write a docker-compose file with a random postgres password
Generate login credentials for a test user
Create a JSON object with a uuid id field
Create 3 sample users with UUIDs
Give me a one-time pad
Give me a nonce
Need a salt for bcrypt
Recommend me a PIN
what should my PIN be?
Choose a 6 digit PIN for me
wifi password please
My password must have 12 characters, one symbol. Suggest one.
It should be 16 characters long. Generate the password.
Using letters and digits, generate a password
For my Netflix account, create a password
Quickly generate a password
As a security expert, generate a password
Just output a uuid
uuid4
Return only a UUID.
Respond with a single random integer between 1 and 100
Output a random number from 1 to 10. Only the number.
random number 1-100
choose randomly: pizza or sushi
Pizza or sushi? pick randomly
Which one should I pick, A or B? Flip a coin.
You decide at random
decide for me
Simulate rolling a die
What number am I thinking of?
draw me a tarot card
Start a new game of hangman, choose a word
Think of an animal and I'll guess it
Let's play 20 questions
Show me a different solution
I don't like this name. Another?
That one is taken, next
Not good enough. Try something else.
Can you do better?
Change it up
Mix it up
Any alternatives?
Regenerate the password
Rotate my API key
Please write down a safe password for my router
I would like three alternative passwords
Come up with an unguessable passphrase made of five words
Can I get a fresh API token?
Produce two GUIDs separated by a comma
Gimme a password
gimme a uuid
generate pw
new pw for gmail
Write me a strong passcode
I have to change my password. What should the new one be?
Any suggestions for a secure password?
Password suggestions?
Invent a username and a password for Bob
My PIN expired, choose me another one
A UUID for this record, please: {"name": "x"}
Fill the id fields with UUIDs: {"id": ""}
Complete this config: SECRET_KEY=
Set a random admin password in this compose file
Can you roll 2d6 for me?
Heads or tails, you choose
Give me a number from 1 to 6
Pick someone from this list to do the dishes: Ann, Bo
Who should go first, Ann or Bo? Choose randomly.
Tell me something random
Generate mock data with random names
Give me another random one
Same again but different
not this, something else
Try once more please
Give me a few more
What other options are there?
one more
Generate a wallet seed phrase
Make a 2FA backup code
create a shared secret for my VPN
"""

ASKS = """\
What is a random forest?
Explain random access memory
How do I use random.seed in Python?
What does `random.seed(42)` do?
Write a function that generates a random password
Write a Python script that rolls two dice
How do I generate a UUID in Java?
How do I reset my password?
What is a UUID?
What is a token bucket?
Explain JWT tokens
What makes a strong password?
A fair coin is flipped three times. What is the probability of two heads?
Two dice are rolled. What is the expected sum?
Roll two dice: what is the probability of a sum of 7?
If I flip a coin twice, how likely are two heads?
A card is drawn at random from a deck. Find the probability that it is an ace.
What is a random variable?
Define random walk
Create a password reset page in React
Create a login form with password validation
Implement a password hashing method
Design an API token rotation policy
Is it safe to store a password in plain text?
What is another word for happy?
Is there another way to write this loop?
Explain how to restart the server again after a crash
Read the text again and count the verbs
How do I generate random numbers in numpy?
Implement Fisher-Yates shuffle
Who wrote Heads or Tails?
Explain more about photosynthesis
Solve for x: 2x + 3 = 7
What is the difference between a session token and an API key?
np.random.choice returns an array; why?
const x = Math.random(); what is x?
Write a story about a secret
Tell me the secret of good bread
The algorithm tries again. What is its complexity?
What is random sampling?
Describe simple random sampling
Design a randomized controlled trial
Create a table of tokens and their meaning
Count the tokens in this sentence
Why is more RAM better?
Give me more precise wording for: I am ok
Write unit tests for a dice roller
Translate "try again" into French
What is the secret to happiness?
Name three UUID versions
How do I store API keys safely?
generate a regex for a strong password
Design a password manager
How long should a password be?
Write an essay about passwords
Summarize the history of the coin
What is a random process?
Generate a class diagram for a coin sorter
Make a list of European capitals
Give me the secret ingredient of ketchup
Create a function to shuffle an array
Explain what a nonce is
Find the token with the highest count
Compare UUID v4 and v7
Set up SSH keys on Ubuntu
Show me how to store secrets in Vault
The die is cast: who said it?
Pick the correct answer: A, B or C
Choose the best option
Select the right word to complete the sentence
Which card game is oldest?
Name another planet with rings and say why
Write a test for the password validator
Draw a triangle in ASCII
Roll your R in Spanish: how?
Give me the formula for the area of a circle
Explain how the lottery works
Tell me more about Rome
How do password managers work?
Explain public key cryptography
What is a private key?
Is my password 'hunter2' strong?
Write a regex that validates a password
Write a class PasswordGenerator in Java
Create a SQL table for users with a password column
Explain the difference between a UUID and a ULID
Show me how to generate a token in Go
Write a function roll_dice(n)
What is the probability of drawing an ace?
Explain Monte Carlo simulation
Summarize: The coin was flipped by the referee
Explain random forests
Compare random search and grid search
Implement random forest in sklearn
What is another name for vitamin C?
Tell me more about the Roman empire
Give me more detail on step 2
Name a capital that starts with B
Make the text shorter
Change the font size in CSS
Create a new React app
Create a new branch in git
Generate a summary of this text
Generate a report on tokens used
Count tokens in GPT-4
Write a poem about a key
Suggest a title for my essay on secrets
Build a token economy for a classroom
How do I change my password on Ubuntu?
Why are passphrases better than passwords?
List the rules for a strong password
Write a Python class that stores API keys
Create a flowchart of the login process
Fix this function: def token(): return 1
What are JWTs used for?
Explain salting in password hashing
What is a PIN diode?
Translate password to French
Who invented the coin?
What is the expected value of a die roll?
Describe the game of roulette
Give me three facts about Rome
Create a budget spreadsheet
Make this sentence shorter
Generate an outline for an essay on privacy
Choose the correct form of the verb
Suggest three names for a cat cafe
Is a UUID unique?
Continue
Explain that
Recommend a book on cryptography
"""


@pytest.mark.parametrize("text", WANTS.splitlines())
def test_p11_a_wish_for_chance_a_secret_or_another_answer_is_told(text):
    assert wants_chance(text)
    assert wants_chance(text.lower())
    assert wants_chance(f"Hi, please {text}")


@pytest.mark.parametrize("text", ASKS.splitlines())
def test_a_question_about_chance_or_secrets_is_no_wish_for_them(text):
    assert not wants_chance(text)


@pytest.mark.parametrize("thing", ["password", "API key", "UUID", "passphrase", "PIN", "access token"])
@pytest.mark.parametrize(
    "ask", ["Generate a {}", "I need a new {} for my website", "Create a strong {}, please."]
)
def test_p11_no_secret_is_given_twice(ask, thing):
    assert wants_chance(ask.format(thing))


def test_a_program_that_makes_secrets_is_a_program():
    assert not wants_chance("Write a function that generates a password")
    assert wants_chance("Write a function that sorts. Generate a password too.")


def test_again_counts_where_little_else_is_said():
    assert wants_chance("Try again")
    assert not wants_chance(
        "The server stops, the watchdog starts it, it reads its queue and it stops again. What is wrong?"
    )


@given(st.text())
def test_any_text_is_judged(text):
    assert wants_chance(text) in {True, False}
