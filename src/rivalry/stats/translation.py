"""BLEU and chrF of texts against what they should be, by sacrebleu (Post 2018, arXiv:1804.08771), so that numbers compare with others'."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from rivalry.errors import MissingExtra

logging.getLogger("sacrebleu").setLevel(logging.ERROR)


Tokenizer = Literal["13a", "zh", "char"]


def tokenizer_for(lines: Sequence[str]) -> Tokenizer:
    """sacrebleu's tokenizer for texts like these: 13a where spaces stand between words; else zh, or char, each character by itself, where few
    are Chinese."""
    if sum(" " in line.strip() for line in lines) * 2 > len(lines) or not any(not line.isascii() for line in lines):
        return "13a"
    text = "".join(lines)
    return "zh" if 2 * len(re.findall("[\u3400-\u9fff]", text)) > len(text) and not re.search("[\u3040-\u30ff]", text) else "char"


def bleu(lines: Sequence[str], *references: Sequence[str], tokenizer: Tokenizer = "13a") -> float:
    """Corpus BLEU in percent of N lines against references, each of N lines: sacrebleu's tokenizer, case as it is, exponential
    smoothing.  MissingExtra where sacrebleu is not installed."""
    return float(_library().BLEU(tokenize=tokenizer, force=True).corpus_score(list(lines), [list(r) for r in references]).score)


def chrf(lines: Sequence[str], *references: Sequence[str]) -> float:
    """chrF2 in percent (Popović 2015): n-grams of characters up to 6, recall weighing twice as much."""
    return float(_library().CHRF().corpus_score(list(lines), [list(r) for r in references]).score)


def version() -> str:
    """'2.6.0': part of what a number means."""
    import sacrebleu

    return str(sacrebleu.__version__)


def geometric_mean(*values: float) -> float:
    """Of numbers that are not negative; 0 where one is.

    >>> geometric_mean(4.0, 9.0)
    6.0
    """
    if min(values) <= 0:
        return 0.0
    return math.exp(sum(math.log(v) for v in values) / len(values))


def _library() -> Any:
    try:
        import sacrebleu.metrics
    except ImportError as error:
        raise MissingExtra("text", "BLEU of rewritten texts") from error
    return sacrebleu.metrics
