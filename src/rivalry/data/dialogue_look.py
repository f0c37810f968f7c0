"""What `rivalry data inspect` says of conversations: turns, lengths, speakers, copies, what is broken."""

from __future__ import annotations

from collections import Counter

from rivalry.data.inspection import Inspection
from rivalry.data.sources import Talks
from rivalry.data.split import share_held
from rivalry.data.text_look import lengths
from rivalry.data.text_tokens import words_of
from rivalry.data.text_twins import twins


def look(told: Talks) -> Inspection:
    """An Inspection of conversations that were read."""
    turns = [len(talk) for talk in told.talks]
    words = [words_of(text) for talk in told.talks for _, text in talk]
    speakers = Counter(len({s for s, _ in talk}) for talk in told.talks)
    counts = Counter(w for row in words for w in row)
    found = twins([" ".join(text for _, text in talk) for talk in told.talks])
    held = told.rows.held
    back = round(share_held(len(turns), None) * len(turns)) if held is None else int(held.sum())
    said = ", ".join(f"{n} ({k:,})" for n, k in speakers.most_common(4))
    return Inspection(
        told.name, told.where, "dialogue",
        total=len(told.talks) + len(told.broken),
        whole=len(told.talks),
        held=None if held is None else back,
        broken=told.broken,
        near_checked=len(turns),
        columns=(lengths("turns a conversation", turns), lengths("words a turn", [len(row) for row in words])),
        proposal={"held back": back},
        notes=(
            *told.rows.notes,
            f"speakers a conversation: {said}",
            f"conversations that repeat another: {found.copies:,}, that nearly do: {found.near:,}",
            f"different words: {len(counts):,}",
        ),
    )  # fmt: skip
