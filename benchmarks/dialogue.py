"""Dialogue: adversarial replies against the teacher-forced model they began as, and against one taught as long by likelihood alone.

    python benchmarks/dialogue.py --train self --row dialogue --seed 0
    python benchmarks/dialogue.py --train self --row dialogue-mle --seed 0
    python benchmarks/dialogue.py --measure

and so on for the data daily and chitchat, and for more seeds: all that were trained are measured.  A budget (BUDGETS) is CPU time of one core, spent on
steps; what is looked at meanwhile comes on top.  Runs lie in work/runs.  Held-out conversations are others than those learned from (self: by
other people); everything is measured with one decoding for all.  What was measured is kept in work/measured by the weights it was measured
of, so that a measurement goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from common import WORK, cpu_seconds_a_step, keep, shared, table
from torch import nn

from rivalry import train, zoo
from rivalry.data import Dataset, ReadOptions, load
from rivalry.data.text_tokens import words_of
from rivalry.evaluate import Budget, Looks, fresh
from rivalry.evaluate.dialogue import CANDIDATES, PLACE, Asked, DialogueJudge, nats, ranked
from rivalry.games import Reply
from rivalry.recipe import Recipe, set_value
from rivalry.run import ROOT, Run, stage_checkpoint
from rivalry.sampling import Sampler, sampler_of
from rivalry.stats import ngrams
from rivalry.stats.clusters import bootstrap_ratio, resampled, totals
from rivalry.stats.ngrams import Floats, Ints, Sentences

CPU = torch.device("cpu")
READING = {
    "self": ReadOptions(vocabulary=3000), "daily": ReadOptions(vocabulary=1500, kind="dialogue"), "chitchat": ReadOptions(vocabulary=3000),
}  # fmt: skip
SETTINGS = {"self": ("batch=32",), "daily": ("batch=32", "generator.dropout=0.3"), "chitchat": ("batch=32",)}
BUDGETS = {"self": "8m", "daily": "8m", "chitchat": "15m"}
"""CPU time of the steps; DailyDialog's validation part has a forty-fifth of the self-dialogues' replies."""
SHOWN = ("chitchat",)
"""Data whose licence lets dialogues be printed: the BYU Chit-Chat set (MIT)."""
DECODINGS = ((1.0, 1.0, 1), (1.0, 1.0, 4))
"""Temperature, top-p, candidates: of several the best is given, by the discriminator or, where there is none, by the mean of log p."""
ASKED = 1600
"""Held-out contexts that are replied to; half of their conversations train the judges of AdverSuc."""
RANKED = 800
SEEDS = range(10)
JUDGES = 2
"""Fresh judges of each contender, trained from different seeds; their verdicts are averaged."""


def folder(data: str) -> Path:
    """The conversations as they are read."""
    if data == "self":
        return shared("dialogue_self")
    if data == "chitchat":
        return chitchat()
    path = WORK / "daily"
    if not path.exists():
        path.mkdir(parents=True)
        for side, file in (("train", "valid"), ("test", "test")):
            (path / f"{side}.txt").write_bytes(gzip.decompress((shared("dialogue_dailydialog_eval") / f"{file}.utts.txt.gz").read_bytes()))
    return path


def chitchat() -> Path:
    """7,168 conversations of the package chitchat-dataset (MIT), a list of turns with their speakers a line."""
    path = WORK / "chitchat.jsonl"
    if not path.exists():
        spec = find_spec("chitchat_dataset")
        if spec is None or spec.origin is None:
            raise SystemExit("these data come with a package; install it with: pip install --no-deps chitchat-dataset")
        told = json.loads((Path(spec.origin).parent / "dataset.json").read_text(encoding="utf-8"))
        lines = (
            json.dumps([{"speaker": m["sender"], "text": m["text"]} for turn in talk["messages"] for m in turn], ensure_ascii=False)
            for talk in told.values()
        )
        path.write_text("".join(f"{line}\n" for line in lines if line != "[]"), encoding="utf-8")
    return path


def recipe_of(row: str, data: str) -> Recipe:
    recipe = zoo.get(f"{row}-small")
    for line in SETTINGS[data]:
        recipe = set_value(recipe, *line.split("=", 1))
    return recipe


def train_row(data: str, row: str, seed: int) -> None:
    dataset, recipe = load(folder(data), options=READING[data]), recipe_of(row, data)
    cpu = Budget.parse(BUDGETS[data]).seconds
    assert cpu is not None
    steps = int(cpu / cpu_seconds_a_step(recipe, dataset))
    train(
        folder(data), recipe=recipe, seed=seed, run=f"talk-{data}-{row}-{seed}", budget=f"{steps}steps", tensorboard=False,
        options=READING[data], overwrite=True,
    )  # fmt: skip


Decoding = tuple[float, float, int]


def remembered(name: str, compute: Callable[[], Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    """What was measured before, or is measured now."""
    path = WORK / "measured" / f"{name}.npz"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        np.savez(path.with_suffix(".part.npz"), **compute())
        path.with_suffix(".part.npz").rename(path)
        print("measured", name, flush=True)
    with np.load(path, allow_pickle=False) as found:
        return dict(found)


# -- measuring ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Contender:
    """Who replies.  nets: None for baselines, whose replies are `fixed`."""

    name: str
    game: Reply
    nets: Mapping[str, nn.Module] | None
    fixed: tuple[str, ...] = ()

    @property
    def sha(self) -> str:
        """Of the weights, or of the replies."""
        found = hashlib.sha256(repr(self.fixed).encode())
        for net in (self.nets or {}).values():
            for value in net.state_dict().values():
                found.update(value.numpy().tobytes())
        return found.hexdigest()[:12]

    def sampler(self, data: Dataset, decoding: Decoding = DECODINGS[0]) -> Sampler:
        assert self.nets is not None
        game = replace(self.game, temperature=decoding[0], top_p=decoding[1], candidates=decoding[2])
        return sampler_of(game, game.wiring(data.spec), self.nets, CPU, data)


@dataclass(frozen=True, eq=False)
class Bench:
    """One data set, and what all contenders are asked."""

    data: str

    @cached_property
    def dataset(self) -> Dataset:
        return load(folder(self.data), options=READING[self.data])

    @cached_property
    def judge(self) -> DialogueJudge:
        return DialogueJudge(self.dataset, True, looks=Looks(gate=256, verdict=ASKED))

    @cached_property
    def asked(self) -> Asked:
        return self.judge.asked(min(ASKED, len(self.dataset.held)))

    def contenders(self, seed: int) -> list[Contender]:
        own = Run.open(f"talk-{self.data}-dialogue-{seed}")
        game = own.recipe.game
        assert isinstance(game, Reply)
        # conversations that are only to be shown need no rival of equal time
        twins = [Run.open(f"talk-{self.data}-dialogue-mle-{seed}")] if trained(self.data, "dialogue-mle", seed) else []
        common = max(set(self.asked.human), key=self.asked.human.count)
        moved = fresh.displaced(self.asked.talk)
        return [
            Contender("teacher-forced start", game, {"generator": own.networks(stage_checkpoint("likelihood"))["generator"]}),
            Contender("adversarial", game, own.networks("last")),
            *(Contender("teacher-forced, equal time", game, {"generator": t.networks("last")["generator"]}) for t in twins),
            Contender(f"always '{common}'", game, None, (common,) * len(self.asked)),
            Contender("human reply to something else", game, None, tuple(self.asked.human[i] for i in moved.tolist())),
        ]

    def replies(self, who: Contender, decoding: Decoding) -> list[str]:
        if who.nets is None:
            return list(who.fixed)

        def draw() -> Mapping[str, np.ndarray]:
            return {"texts": np.array(self.judge.modality.texts(who.sampler(self.dataset, decoding)(len(self.asked), PLACE)))}

        found: list[str] = remembered(f"{self.data}-{who.sha}-replies-{decoding}", draw)["texts"].tolist()
        return found

    def fooled(self, who: Contender, decoding: Decoding, judges: int) -> tuple[Floats, Ints]:
        """1 less whether each verdict is right, averaged over judges, and the conversations."""
        asked, made = self.asked, self.replies(who, decoding)

        def examine(seed: int) -> Mapping[str, np.ndarray]:
            found = fresh.examined(asked.contexts, asked.human, made, asked.talk, seed, self.judge.space)
            return {"right": found.right, "talk": found.talk}

        found = [remembered(f"{self.data}-{who.sha}-judged-{decoding}-{seed}", lambda seed=seed: examine(seed)) for seed in range(judges)]  # type: ignore[misc]
        return 1 - np.mean([v["right"] for v in found], axis=0), found[0]["talk"]

    def likelihood(self, who: Contender) -> Mapping[str, np.ndarray]:
        """nats, counts of each reply; hits1 and, where there is a discriminator, hits1-critic."""

        def compute() -> Mapping[str, np.ndarray]:
            sums, counts = nats(who.sampler(self.dataset), self.asked)
            return {"nats": sums, "counts": counts, **ranked(who.sampler(self.dataset), self.asked, RANKED)}

        return remembered(f"{self.data}-{who.sha}-likelihood", compute)

    def controls(self) -> Mapping[str, np.ndarray]:
        return remembered(f"{self.data}-controls-{ASKED}", lambda: {k: np.array(v) for k, v in self.judge.controls(len(self.asked)).items()})


def told(value: float, low: float, high: float, digits: int = 3) -> str:
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def mean(values: Floats, talk: Ints) -> str:
    found = bootstrap_ratio(values, np.ones(len(values)), talk)
    return told(found.value, found.low, found.high)


def gain(ours: Floats, theirs: Floats, talk: Ints) -> tuple[float, float, float]:
    """Mean difference with its interval: both on the same conversations, drawn anew together."""
    found = bootstrap_ratio(ours - theirs, np.ones(len(ours)), talk)
    return found.value, found.low, found.high


def ratio(ours: tuple[Floats, Floats], theirs: tuple[Floats, Floats], talk: Ints) -> tuple[float, float, float]:
    """Ratio of perplexities with its interval over conversations."""
    sums = [(totals(s, talk), totals(c, talk)) for s, c in (ours, theirs)]
    weight = resampled(len(sums[0][0]))
    logs = [(weight @ s) / (weight @ c) for s, c in sums]
    low, high = np.percentile(np.exp(logs[0] - logs[1]), [2.5, 97.5])
    return float(np.exp(sums[0][0].sum() / sums[0][1].sum() - sums[1][0].sum() / sums[1][1].sum())), float(low), float(high)


def variety(made: Sequence[str], human: Sequence[str]) -> tuple[list[float], list[float]]:
    """[distinct-1, distinct-2, repetition, words a reply] of both."""
    numbers: dict[str, int] = {}
    found = []
    for side in (made, human):
        words = Sentences.of([[numbers.setdefault(w, len(numbers)) for w in words_of(t)] for t in side])
        found.append([ngrams.distinct(words, 1), ngrams.distinct(words, 2), float(ngrams.repetition(words).mean()), float(words.lengths.mean())])
    return found[0], found[1]


def named(decoding: Decoding) -> str:
    return f"{decoding[0]:g} / {decoding[1]:g}" + (f", best of {decoding[2]}" if decoding[2] > 1 else "")


@dataclass(frozen=True, eq=False)
class Found:
    """What a seed's contenders reached, by their names; averaged over seeds, contexts being the same for all."""

    likely: Mapping[str, Mapping[str, Floats]]
    fooled: Mapping[tuple[str, Decoding], Floats]
    shapes: Mapping[tuple[str, Decoding], list[float]]

    @classmethod
    def mean(cls, seeds: Sequence[Found]) -> Found:
        first = seeds[0]
        return cls(
            {w: {k: np.mean([s.likely[w][k] for s in seeds], 0) for k in found} for w, found in first.likely.items()},
            {w: np.mean([s.fooled[w] for s in seeds], 0) for w in first.fooled},
            {w: np.mean([s.shapes[w] for s in seeds], 0).tolist() for w in first.shapes},
        )


def found_of(bench: Bench, seed: int) -> Found:
    who = bench.contenders(seed)
    models = [w for w in who if w.nets is not None]
    pairs = [(w, d) for d in DECODINGS for w in (who if d == DECODINGS[0] else models)]
    return Found(
        {w.name: bench.likelihood(w) for w in models},
        {(w.name, d): bench.fooled(w, d, JUDGES if w.nets is not None else 1)[0] for w, d in pairs},
        {(w.name, d): variety(bench.replies(w, d), bench.asked.human)[0] for w, d in pairs},
    )


def measure(data: str, seeds: Sequence[int]) -> str:
    """A section of the results page."""
    bench = Bench(data)
    who, asked = bench.contenders(seeds[0]), bench.asked
    each = [found_of(bench, seed) for seed in seeds]
    all_ = Found.mean(each)
    models = [w for w in who if w.nets is not None]
    names = [w.name for w in models]
    n = len(all_.likely[names[0]]["hits1"])
    talk = bench.fooled(who[0], DECODINGS[0], JUDGES)[1]
    human = variety(asked.human, asked.human)[0]
    rows = [
        (name, named(d) if name in names else "", mean(all_.fooled[name, d], talk), *(f"{v:.3f}" for v in all_.shapes[name, d]))
        for name, d in all_.fooled
    ]
    rows.append(("human", "", "0.5 at best", *(f"{v:.3f}" for v in human)))
    judged = bench.controls()
    first = [
        (name, told(*_perplexity(likely, asked.talk), 2), mean(likely["hits1"], asked.talk[:n]),
         mean(likely["hits1-critic"], asked.talk[:n]) if "hits1-critic" in likely else "")
        for name, likely in all_.likely.items()
    ]  # fmt: skip
    checks = targets(names[0], names[1], names[2:], all_, human, talk, asked.talk)
    alone = [targets(names[0], names[1], names[2:], one, human, talk, asked.talk) for one in each]
    lines = [(what, value, ", ".join(one[i][1].split(" ")[0] for one in alone), said) for i, (what, value, said) in enumerate(checks)]
    rows_of = [r for r in ("dialogue", "dialogue-mle") if trained(data, r, seeds[0])]
    took = "; ".join(f"{row}: {', '.join(steps(data, row, seed) for seed in seeds)}" for row in rows_of)
    return (
        f"## {data}\n\n{len(bench.dataset.train):,} replies to learn from; {len(asked):,} held-out contexts of {len(np.unique(asked.talk)):,} conversations. "
        f"{BUDGETS[data]} of training; means of seeds {', '.join(map(str, seeds))}; steps of {took}. Checkpoints: the last ones; the start is the one that its "
        "adversarial run went on from.\n\n"
        f"Likelihood (perplexity per token of human replies; Hits@1 of {CANDIDATES} candidates, {n:,} contexts, by likelihood and by the discriminator):\n\n"
        + table(("", "perplexity", "Hits@1, likelihood", "Hits@1, discriminator"), first)
        + f"\n\nReplies (AdverSuc by {JUDGES} judges for each seed, trained afresh on one half of the held-out conversations and asked about the other; decoding: "
        "temperature / top-p):\n\n"
        + table(("", "decoding", "AdverSuc", "distinct-1", "distinct-2", "repetition", "words"), rows)
        + f"\n\nThe judge itself: people against people {float(judged['same']):.3f} right (.5 is right), people's replies to something else "
        f"{float(judged['misplaced']):.3f}.\n\n"
        + table(("target", "mean of seeds", "each seed", "verdict"), lines) + dialogues(bench, models[1])
    )


def dialogues(bench: Bench, who: Contender) -> str:
    """The first 20 replies of those that were measured, unpicked, where the data may be shown."""
    if bench.data not in SHOWN:
        return ""
    made = bench.replies(who, DECODINGS[-1])[:20]
    turns = bench.judge.modality.turns(bench.asked.x[:20])
    lines = [
        (" / ".join(text.replace("|", "\\|") for _, text in told), reply.replace("|", "\\|"), human.replace("|", "\\|"))
        for told, reply, human in zip(turns, made, bench.asked.human, strict=False)
    ]
    called = named(DECODINGS[-1])
    return f"\n\n20 dialogues, unpicked: the first that were measured ({called}).\n\n" + table(("said before", "reply", "what a person replied"), lines)


def targets(
    start: str, ours: str, twins: Sequence[str], found: Found, human: Sequence[float], judged: Ints, talk: Ints,
) -> list[tuple[str, str, str]]:  # fmt: skip
    """(target, value, verdict): differences are of the same conversations, drawn anew together."""
    likely, fooled, shapes = found.likely, found.fooled, found.shapes
    checks = list[tuple[str, str, str]]()
    n = len(likely[ours]["hits1"])
    for rival in (start, *twins):
        for decoding in DECODINGS:
            checks.append(above(f"AdverSuc above {rival}'s, {named(decoding)}", fooled[ours, decoding], fooled[rival, decoding], judged))
        checks.append(above(f"Hits@1 by likelihood above {rival}'s", likely[ours]["hits1"], likely[rival]["hits1"], talk[:n]))
        checks.append(
            above(f"Hits@1 by the discriminator above {rival}'s by likelihood", likely[ours]["hits1-critic"], likely[rival]["hits1"], talk[:n])
        )
        r = ratio(*((likely[w]["nats"], likely[w]["counts"]) for w in (ours, rival)), talk)
        checks.append((f"perplexity at most 1.05 times {rival}'s", told(*r), "met" if r[0] <= 1.05 else "missed"))
    for decoding in DECODINGS:
        share = shapes[ours, decoding][1] / human[1]
        checks.append((f"distinct-2 within 10 % of people's, {named(decoding)}", f"{share:.3f} of theirs", "met" if abs(share - 1) <= 0.1 else "missed"))
    return checks


def above(what: str, ours: Floats, theirs: Floats, talk: Ints) -> tuple[str, str, str]:
    d = gain(ours, theirs, talk)
    return what, told(*d), verdict(d[1] > 0, d[2] < 0)


def _perplexity(found: Mapping[str, np.ndarray], talk: Ints) -> tuple[float, float, float]:
    r = bootstrap_ratio(found["nats"], found["counts"], talk)
    return float(np.exp(r.value)), float(np.exp(r.low)), float(np.exp(r.high))


def verdict(better: bool, worse: bool) -> str:
    return "met" if better else "worse" if worse else "not shown"


def trained(data: str, row: str, seed: int) -> bool:
    """Whether there is a run, and it has come to its end."""
    return (ROOT / f"talk-{data}-{row}-{seed}" / "report.md").exists()


def steps(data: str, row: str, seed: int) -> str:
    run = Run.open(f"talk-{data}-{row}-{seed}")
    return f"{run.settings['plan']['steps']:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", choices=sorted(READING))
    parser.add_argument("--row", default="dialogue", choices=["dialogue", "dialogue-mle"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    WORK.mkdir(parents=True, exist_ok=True)
    os.chdir(WORK)
    if given.train:
        train_row(given.train, given.row, given.seed)
    if given.measure:
        there = {d: [s for s in SEEDS if trained(d, "dialogue", s)] for d in READING}
        # seeds are averaged where they have the same contenders: those with a rival of equal time, if there are any
        same = {d: [s for s in seeds if trained(d, "dialogue-mle", s)] or seeds for d, seeds in there.items()}
        sections = [measure(d, seeds) for d, seeds in same.items() if seeds]
        keep("dialogue", "Dialogue: adversarial against teacher-forced", INTRO + "\n\n".join(sections))


INTRO = """Rows were trained for equal CPU time of one core, looks left out: so of its steps the adversarial row spends a part on likelihood
only. What a step costs is measured before each training, so seeds differ in steps where other work shared the processor. Intervals are over conversations, drawn anew 1,000 times, of what the seeds reached on average. Self-dialogues and DailyDialog may not be shown
(research use), so none of their dialogues are printed.

"""


if __name__ == "__main__":
    main()
