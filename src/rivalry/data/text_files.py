"""Lines of plain text files, decoded, and what is wrong with those that cannot be used."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rivalry.data.containers import Content
from rivalry.data.idx import unzip
from rivalry.data.rows import Rows, official_split
from rivalry.data.sources import Texts
from rivalry.data.tables import side_of
from rivalry.data.text_tokens import CONTROL
from rivalry.data.words import count
from rivalry.errors import DataError

LONGEST = 20_000
"""Characters of a line that is no line of text any more."""
UNDECODED = 0.01
"""Up to this share of lines may be no UTF-8; they are left out."""
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read(files: Sequence[tuple[str, Content]], name: str, where: str) -> Texts:
    """The lines of one or several files that are not blank; names of files give the official split where they do so for
    tables ('train.txt' beside 'test.txt').

    Raises DataError for binary and empty files, for text in another encoding, and for a file of one endless line.
    """
    lines, names, broken, counts = list[str](), list[str](), list[tuple[str, str]](), list[int]()
    for file, content in files:
        place = where if len(files) == 1 else f"{where}/{file}"
        if not isinstance(content, bytes):
            raise DataError(f"{place} cannot be read: {content}")
        found, odd = _lines(unzip(content, place), place)
        lines += [line for _, line in found]
        prefix = "" if len(files) == 1 else f"{file}:"
        names += [f"{prefix}line {number}" for number, _ in found]
        broken += [(f"{prefix}line {number}", reason) for number, reason in odd]
        counts.append(len(found))
    if not lines:
        what = "nothing but broken lines" if broken else "empty"
        raise DataError(f"{where} is {what}; name a text file with a sentence in each line")
    rows = Rows(len(lines), tuple(names))
    held, keep, note = official_split(np.repeat(np.array([side_of(f) for f, _ in files]), counts))
    if held is not None:
        rows = replace(rows, held=held).noted(note)
    if keep is not None:
        rows, lines = rows.take(keep), [lines[i] for i in keep.tolist()]
    if broken:
        rows = rows.noted(f"{count(len(broken), 'line')} that cannot be used left out (see `rivalry data inspect`)")
    return Texts(name, where, rows, tuple(lines), tuple(broken))


def clean(line: str) -> str:
    """NFC, with single spaces and no control characters: what is learned of a line."""
    return " ".join(CONTROL.sub(" ", unicodedata.normalize("NFC", line)).split())


def pieces(raw: bytes) -> Sequence[bytes | str]:
    """All lines of a file, empty ones too; bytes are still to be decoded from UTF-8.  They end where lines of text files do, and not at the
    separators that Unicode knows besides, which may stand within a line."""
    if raw.startswith(codecs.BOM_UTF8):
        return raw[len(codecs.BOM_UTF8) :].splitlines()
    if raw.startswith(UTF16):
        return re.split(r"\r\n|\r|\n", raw.decode("utf-16", "replace").removesuffix("\n").removesuffix("\r"))
    return raw.splitlines()


def every_line(path: Path) -> list[str]:
    """All lines of a text file in UTF-8, as they are.  DataError for what cannot be read, is binary, or in another encoding."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; check its path") from error
    return whole_lines(raw, str(path))


def whole_lines(raw: bytes, where: str) -> list[str]:
    """All lines of a text in UTF-8, as they are."""
    if raw.startswith(UTF16):
        raise DataError(f"{where} is not in UTF-8 but in UTF-16; convert it with: iconv -f utf-16 -t utf-8")
    try:
        lines = [piece if isinstance(piece, str) else piece.decode("utf-8") for piece in pieces(raw)]
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not in UTF-8; if it is in Latin-1, convert it with: iconv -f latin1 -t utf-8") from error
    if b"\0" in raw:
        raise DataError(f"{where} is no text but a binary file; name a text file")
    return lines


def _lines(raw: bytes, where: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """((number, line) of those that can be used, (number, reason) of the others); numbers from 1."""
    found, odd = list[tuple[int, str]](), list[tuple[int, str]]()
    if not raw.startswith(UTF16) and b"\0" in raw[: 1 << 16]:
        raise DataError(f"{where} is no text but a binary file; name it by its true ending, or give a text file")
    every, undecoded = pieces(raw), list[int]()
    for number, piece in enumerate(every, 1):
        try:
            line = clean(piece if isinstance(piece, str) else piece.decode("utf-8"))
        except UnicodeDecodeError:
            undecoded.append(number)
            continue
        if len(line) > LONGEST:
            odd.append((number, f"{len(line):,} characters long"))
        elif "\ufffd" in line:
            odd.append((number, "holds characters that were lost in an earlier conversion"))
        elif line:
            found.append((number, line))
    if len(undecoded) > max(1, UNDECODED * len(every)):
        raise DataError(
            f"{where} is not in UTF-8 (line {undecoded[0]} and {len(undecoded) - 1:,} more are not); if it is in Latin-1, "
            "convert it with: iconv -f latin1 -t utf-8"
        )
    odd += [(number, "not UTF-8, perhaps Latin-1") for number in undecoded]
    if not found and len(odd) == 1 and "characters long" in odd[0][1]:
        raise DataError(f"{where} is a single line, {odd[0][1]}; put each sentence on a line of its own")
    return found, sorted(odd)
