"""The cache's lexical law: whether the words of two prompts allow one answer, and whether an answer ages.

It knows nothing of embeddings, scopes, stores or time. `README.md` beside it has the reasons and the figures.
"""

from p402.cache.guards.compare import Guard, compare, disagreement
from p402.cache.guards.timely import is_time_sensitive
from p402.cache.guards.words import Words, read

__all__ = ["Guard", "Words", "compare", "disagreement", "is_time_sensitive", "read"]
