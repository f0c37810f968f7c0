"""Text to tokens and back: byte pairs or whole words, both learned from training lines only."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from rivalry.errors import DataError, MissingExtra
from rivalry.types import UNKNOWN

SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")
OFTEN = 5
"""Times that a pair must occur, or lines that must have a word, to be a token: what fewer say is nobody else's business."""
LONGEST = 16
"""Bytes of a token at most, so that none is a sentence."""
BYTES_A_TOKEN = 250
CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
ALONE = "\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff\U00020000-\U0003134f"
"""Characters of which each is a word: Chinese and Japanese ones."""


@cache
def marks() -> str:
    """Vowel signs and accents that belong to the letter before them, and joiners, for a class of characters: Python's \\w leaves them out."""
    places = (*range(0x300, 0xFE30), *range(0x10A00, 0x11FFF), *range(0x1E000, 0x1E950))
    return "".join(map(chr, (i for i in places if unicodedata.category(chr(i))[0] == "M"))) + "\u200c\u200d"


@cache
def _word() -> re.Pattern[str]:
    part = f"[^\\W{ALONE}]+(?:[{marks()}]+[^\\W{ALONE}]*)*"
    return re.compile(f"[{ALONE}][{marks()}]*|{part}(?:['\u2019]{part})*|[^\\w\\s]")


def words_of(text: str) -> list[str]:
    """Words and marks of punctuation, Chinese and Japanese characters one by one: what rulers count, whatever the tokenizer.

    >>> words_of("It's a dog, 好.")
    ["It's", 'a', 'dog', ',', '好', '.']
    """
    return _word().findall(text)


NO_UNICODE = "what was typed holds bytes that are no UTF-8; set the terminal to UTF-8, or convert a file with iconv"


def check_unicode(lines: Sequence[str]) -> None:
    """DataError for halves of characters: what Python makes of bytes from a terminal that it cannot read."""
    try:
        "".join(lines).encode()
    except UnicodeEncodeError as error:
        raise DataError(NO_UNICODE) from error


@dataclass(frozen=True)
class Words:
    """Whole words; those that fewer than OFTEN lines have are unknown.  joiner: what stands between words of a text."""

    words: tuple[str, ...]
    joiner: str = " "

    @classmethod
    def learn(cls, lines: Sequence[str], most: int) -> Words:
        counts = Counter(w for line in lines for w in dict.fromkeys(words_of(line)))
        often = sorted((w for w, n in counts.items() if n >= OFTEN), key=lambda w: (-counts[w], w))
        spaced = sum(" " in line for line in lines) * 2 > len(lines)
        return cls(tuple(often[: most - len(SPECIALS)]), " " if spaced else "")

    @property
    def size(self) -> int:
        return len(SPECIALS) + len(self.words)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {w: i for i, w in enumerate(self.words, len(SPECIALS))}

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        check_unicode(lines)
        return [[self._numbers.get(w, UNKNOWN) for w in words_of(line)] for line in lines]

    def unknown(self, line: str) -> list[str]:
        """The words that have no number, as they follow."""
        return [w for w in words_of(line) if w not in self._numbers]

    def decode(self, rows: Iterable[Sequence[int]]) -> list[str]:
        """Text of token numbers; specials but <unk> say nothing."""
        names = (*SPECIALS, *self.words)
        return [self.joiner.join(names[i] for i in row if i >= UNKNOWN) for row in rows]

    def state(self) -> dict[str, object]:
        return {"tokenizer": "words", "words": list(self.words), "joiner": self.joiner}


@dataclass(frozen=True)
class BytePairs:
    """Byte pairs (Sennrich et al. 2016, on bytes as in GPT-2): any text of any language has tokens, none is unknown.

    merges: pairs in the order they were learned, in the printable alphabet of bytes; vocabulary: specials, the 256 bytes,
    then what each merge makes.
    """

    merges: tuple[str, ...]

    @classmethod
    def learn(cls, lines: Sequence[str], most: int, repeats: bool = False) -> BytePairs:
        """See `learned`.  Raises MissingExtra where `tokenizers` is not installed."""
        library = _library()
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
        trainer = library.trainers.BpeTrainer(
            vocab_size=most - len(SPECIALS), min_frequency=OFTEN, show_progress=False, max_token_length=LONGEST,
            initial_alphabet=sorted(_alphabet()),
        )  # fmt: skip
        tokenizer.train_from_iterator(lines if repeats else _once(lines), trainer)
        state: dict[str, Any] = json.loads(tokenizer.to_str())
        pairs = [m.split(" ") if isinstance(m, str) else m for m in state["model"]["merges"]]
        return cls(tuple(f"{a} {b}" for a, b in pairs))

    @cached_property
    def names(self) -> tuple[str, ...]:
        made = (m.replace(" ", "") for m in self.merges)
        return tuple(dict.fromkeys([*SPECIALS, *sorted(_alphabet()), *made]))

    @property
    def size(self) -> int:
        return len(self.names)

    @cached_property
    def _encoder(self) -> Any:
        library = _library()
        numbers = {w: i for i, w in enumerate(self.names)}
        pairs = [(m.split(" ")[0], m.split(" ")[1]) for m in self.merges]
        tokenizer = library.Tokenizer(library.models.BPE(numbers, pairs))
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
        return tokenizer

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        check_unicode(lines)
        return [found.ids for found in self._encoder.encode_batch(list(lines), add_special_tokens=False)]

    @cached_property
    def _bytes(self) -> tuple[bytes, ...]:
        alphabet = _alphabet()
        return tuple(b"" if i < len(SPECIALS) else bytes(alphabet[c] for c in name) for i, name in enumerate(self.names))

    def unknown(self, line: str) -> list[str]:
        """Nothing is unknown."""
        return []

    def decode(self, rows: Iterable[Sequence[int]]) -> list[str]:
        """Text of token numbers, without `tokenizers`; bytes that are no UTF-8 become the replacement character.  A line each: breaks
        and control characters, which no line that is learned has, become spaces."""
        table = self._bytes
        return [CONTROL.sub(" ", b"".join(table[i] for i in row).decode("utf-8", "replace")).strip() for row in rows]

    def state(self) -> dict[str, object]:
        return {"tokenizer": "bpe", "merges": list(self.merges)}


Coder = Words | BytePairs


def learned(lines: Sequence[str], kind: str, most: int | None, repeats: bool = False) -> Coder:
    """The tokenizer of that kind, from training lines.  repeats: whether a rare word that a line repeats counts as often, as it did in
    runs of earlier readings.  DataError where words leave nothing to learn."""
    if kind == "words":
        found = Words.learn(lines, most or 30_000)
        if not found.words:
            raise DataError(f"no word is in {OFTEN} lines or more, so there are no words to learn; use the tokenizer 'bpe'")
        return found
    size = sum(len(line.encode()) for line in lines)
    return BytePairs.learn(lines, most or max(320, min(8000, size // BYTES_A_TOKEN)), repeats)


def _once(lines: Sequence[str]) -> Iterator[str]:
    """The lines, in each of which a word that fewer than OFTEN lines have stands once: what a single one says over and over, such as a name
    or a number, would else become a token."""
    had = Counter(w for line in lines for w in dict.fromkeys(line.split()))
    for line in lines:
        words = line.split()
        if len(set(words)) < len(words) and any(had[w] < OFTEN for w in words):
            seen, kept = set[str](), list[str]()
            for word in words:
                if had[word] >= OFTEN or word not in seen:
                    kept.append(word)
                seen.add(word)
            line = " ".join(kept)
        yield line


def restored(state: Mapping[str, object]) -> Coder:
    """Of what `state()` wrote down."""
    kind = "merges" if state.get("tokenizer") == "bpe" else "words"
    listed = state.get(kind)
    if not isinstance(listed, list | tuple):
        raise DataError("the state of a text tokenizer must list its merges or its words")
    if kind == "merges":
        return BytePairs(tuple(map(str, listed)))
    return Words(tuple(map(str, listed)), str(state.get("joiner", " ")))


def _alphabet() -> dict[str, int]:
    """Printable character -> byte, as GPT-2 has it: printable Latin-1 stands for itself, the others are moved up."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(moved)}


def _library() -> Any:
    try:
        import tokenizers
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        raise MissingExtra("text", "the byte-pair tokenizer ('--tokenizer words' does without)") from error
    return tokenizers
