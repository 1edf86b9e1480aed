"""Words as numbers, for text towers that know a few hundred words; CLIP's own are read by open_clip's tokenizer."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

PADDING, START, OTHER = 0, 1, 2
RESERVED = 3
"""Numbers before the first word: padding, start, any word that is not in the vocabulary."""


class WordTokenizer:
    """Numbers words by their place in a vocabulary.

    The end token has the highest number: there CLIP reads what the sentence says.

    Attributes:
        vocabulary: the words known, lower case.
        context_length: tokens of a sentence, start and end included; what is longer is cut.
    """

    def __init__(self, vocabulary: Sequence[str], context_length: int) -> None:
        self.vocabulary, self.context_length = tuple(vocabulary), context_length
        self._number = {word: number for number, word in enumerate(self.vocabulary, start=RESERVED)}
        self.end = RESERVED + len(self.vocabulary)
        self.vocab_size = self.end + 1

    def __call__(self, sentences: Sequence[str]) -> Tensor:
        """Return (B, context_length) int64."""
        tokens = torch.full((len(sentences), self.context_length), PADDING)
        for row, sentence in zip(tokens, sentences, strict=True):
            numbers = [self._number.get(word, OTHER) for word in split_words(sentence)][: self.context_length - 2]
            row[: len(numbers) + 2] = torch.tensor([START, *numbers, self.end])
        return tokens

    def unknown(self, sentence: str) -> tuple[str, ...]:
        """Return the words of a sentence that are not in the vocabulary."""
        return tuple(word for word in split_words(sentence) if word not in self._number)


def split_words(sentence: str) -> list[str]:
    """Return the words of a sentence in lower case, without punctuation."""
    return re.findall(r"[a-z0-9]+", sentence.lower())
