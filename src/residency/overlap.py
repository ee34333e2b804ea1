"""overlap: BLEU and ROUGE of a written text against a reference, by characters and by words.

One definition, since the two scorers published with CMExam disagree (characters or words for BLEU,
swapped arguments of ROUGE): sentence BLEU of sacrebleu, effective order, exponential smoothing;
ROUGE F1 of rouge-score, no stemming; both on tokens of ours, the reference as reference, in
[0, 1], and averaged over questions.

- characters: every character but white space
- words: by jieba (accurate mode, its own dictionary), without white space; lower case

BLEU: Papineni et al. 2002; ROUGE: Lin 2004.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

UNITS = ("characters", "words")


def overlap(said: str, reference: str) -> dict[str, dict[str, float]]:
    """{unit: {bleu_1, bleu_4, rouge_1, rouge_2, rouge_l}} of one text."""
    return {unit: _of(tokens(said, unit), tokens(reference, unit)) for unit in UNITS}


def tokens(text: str, unit: str) -> list[str]:
    """A text's tokens by one of UNITS."""
    folded = text.casefold()
    if unit == "characters":
        return [each for each in folded if not each.isspace()]
    return [each for each in _jieba().lcut(folded) if not each.isspace()]


@cache
def _jieba() -> Any:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba


def _of(said: Sequence[str], reference: Sequence[str]) -> dict[str, float]:
    if not said or not reference:
        return dict.fromkeys(("bleu_1", "bleu_4", "rouge_1", "rouge_2", "rouge_l"), 0.0)
    numbers = {each: str(at) for at, each in enumerate(dict.fromkeys([*reference, *said]))}
    one, other = (" ".join(numbers[each] for each in text) for text in (said, reference))
    found = {f"bleu_{n}": _bleu(n).sentence_score(one, [other]).score / 100 for n in (1, 4)}
    rouge = _rouge().score(target=other, prediction=one)
    for ours, theirs in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
        found[ours] = rouge[theirs].fmeasure
    return {name: round(float(value), 6) for name, value in found.items()}


@cache
def _bleu(order: int) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(max_ngram_order=order, tokenize="none", effective_order=True)


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    class Spaced:
        """Tokens as they come, apart by spaces."""

        def tokenize(self, text: str) -> list[str]:
            """The tokens."""
            return text.split()

    return RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Spaced())
