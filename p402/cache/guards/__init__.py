"""The cache's lexical law: whether two prompts' words allow one answer, and whether that ages or is chance's.

It knows nothing of embeddings, scopes, stores or time. `README.md` beside it has the reasons and the figures.
"""

from p402.cache.guards.chance import wants_chance
from p402.cache.guards.compare import Guard, compare, disagreement
from p402.cache.guards.timely import is_time_sensitive
from p402.cache.guards.words import Words, read

__all__ = ["Guard", "Words", "compare", "disagreement", "is_time_sensitive", "read", "wants_chance"]
