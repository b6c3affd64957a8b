"""Which tokens a text is, or why it has none that tell it from others.

BERT's WordPiece: lower case, accents off, Chinese signs apart, the longest known piece first. A text is read
in whole or not at all. Cut texts that differ behind the cut would look the same, and so would texts that
differ in what the vocabulary does not know: emoji, rare signs, words of more than 100 characters.

A prompt's own `[SEP]` or `[MASK]` is text here, no sign to the model; sentence-transformers reads it as one.

Source: Wu et al. 2016 (WordPiece); Devlin et al. 2018 (uncased vocabulary of 30,522).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serve.embedding.unread import Unread

CHARACTERS_PER_TOKEN: Final = 16
"""A text of more is too long without being read: English has some 5, and spaces are no tokens."""
_UNKNOWN: Final = "[UNK]"
_ENDS: Final = ("[CLS]", "[SEP]")
LONGEST_WORD: Final = 100
"""Characters; a longer word is unknown as a whole."""


class Words:
    """Reads texts; one thread at a time.

    Parameters
    ----------
    vocabulary
        Pieces; the number of each is its place.
    cap
        Tokens a text may have, with the two that every text begins and ends with.
    """

    def __init__(self, vocabulary: Sequence[str], cap: int) -> None:
        from tokenizers import Tokenizer  # noqa: PLC0415 - an extra, and not for those without a cache
        from tokenizers.models import WordPiece  # noqa: PLC0415
        from tokenizers.normalizers import BertNormalizer  # noqa: PLC0415
        from tokenizers.pre_tokenizers import BertPreTokenizer  # noqa: PLC0415

        numbers = {piece: number for number, piece in enumerate(vocabulary)}
        reader = Tokenizer(
            WordPiece(vocab=numbers, unk_token=_UNKNOWN, max_input_chars_per_word=LONGEST_WORD)
        )
        reader.normalizer = BertNormalizer(
            clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True
        )
        reader.pre_tokenizer = BertPreTokenizer()
        self._reader = reader
        self._first, self._last = (numbers[end] for end in _ENDS)
        self._unknown = numbers[_UNKNOWN]
        self._cap = cap
        self.most_characters = cap * CHARACTERS_PER_TOKEN

    def read(self, text: str) -> NDArray[np.int64] | Unread:
        """Tokens of a text, `(n_tokens,)`."""
        if len(text) > self.most_characters:
            return Unread.TOO_LONG
        try:
            text.encode()
        except UnicodeEncodeError:  # half a surrogate pair, which JSON may carry
            return Unread.UNKNOWN
        ids = self._reader.encode(text, add_special_tokens=False).ids
        if not ids:
            return Unread.EMPTY
        if len(ids) + len(_ENDS) > self._cap:
            return Unread.TOO_LONG
        if self._unknown in ids:
            return Unread.UNKNOWN
        return np.array([self._first, *ids, self._last], dtype=np.int64)
