"""Text: maximum likelihood against adversarial rows at equal training time, over temperatures; and what a step costs.

    python benchmarks/text.py generate --cpu 430 --seeds 1
    python benchmarks/text.py generate --data news --cpu 430 --seeds 1
    python benchmarks/text.py speed

Captions: both halves that Texygen publishes, put together and split anew at random, since they differ in topic.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np
import torch
from common import WORK, cpu_seconds_a_step, interval, keep, shared, table
from torch import Tensor

from rivalry import train, zoo
from rivalry.data import ReadOptions, load
from rivalry.errors import RecipeError
from rivalry.games.rollouts import Rollout, completions, judged
from rivalry.nets import LSTMLM, TextCNN, TokenJudge
from rivalry.nets.language import LanguageModel, chosen
from rivalry.parts import Wiring
from rivalry.run import ROOT, Run
from rivalry.stats.ngrams import Sentences, bleu
from rivalry.streams import Draw
from rivalry.sweeping import AXES, METRICS, Sweep, draw, sweep
from rivalry.types import Spec
from rivalry.zoo.text import OPENING

FILES = {
    "coco": ("text_coco", ("gfs_train.txt.gz", "gfs_valid.txt.gz")),
    "news": ("text_emnlp_news", ("gfs_valid.txt.gz", "texygen_test_emnlp.txt.gz")),
}
TEMPERATURES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
CPU = torch.device("cpu")
READING = ReadOptions(vocabulary=2000)
RERANKED = "mle-reranked-small"


def corpus(name: str) -> Path:
    """The lines of both published halves in one file."""
    folder, files = FILES[name]
    path = WORK / f"{name}.txt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(gzip.decompress((shared(folder) / f).read_bytes()) for f in files))
    return path


def generate(data_name: str, rows: list[str], cpu: float, seeds: int, samples: int) -> None:
    """Trains every row for so many CPU seconds of steps, then sweeps all runs by one ruler."""
    path = corpus(data_name)
    data = load(path, options=READING)
    runs, costs = list[Run](), dict[str, str]()
    # in turns: one row after the other, a machine that changes its pace in between favours the later
    paces = [[cpu_seconds_a_step(zoo.get(row), data) for row in rows] for _ in range(3)]
    for i, row in enumerate(rows):
        steps = int(cpu / median(pace[i] for pace in paces))
        for seed in range(seeds):
            name = f"text-{data_name}-{row}-{cpu:g}s-{seed}"
            if not (ROOT / name).exists():
                if row == RERANKED and (ROOT / name.replace(RERANKED, "mle-small")).exists():
                    rerank(ROOT / name.replace(RERANKED, "mle-small"), ROOT / name)
                    continue
                train(path, recipe=row, seed=seed, run=name, budget=f"{steps}steps", tensorboard=False, options=READING)
        runs += [Run.open(f"text-{data_name}-{row}-{cpu:g}s-{seed}") for seed in range(seeds)]
        costs[row] = f"{runs[-1].settings['plan']['steps']:,} steps, kept that of {runs[-1].step('best'):,}"
    found = sweep(runs, data, TEMPERATURES, n=samples, tick=lambda what, share: print(f"{share:.0%} {what}", flush=True))
    draw(found, WORK / f"text-{data_name}.png")
    report(data_name, found, costs, cpu, seeds, samples)


def rerank(trained: Path, out: Path) -> None:
    """The run as that of the row that samples otherwise and is trained alike, to the bit."""
    shutil.copytree(trained, out)
    text = (out / "run.toml").read_text(encoding="utf-8")
    told = text
    for old, new in (('name = "mle-small"', f'name = "{RERANKED}"'), ('[recipe.game]\npart = "text"', f'[recipe.game]\npart = "likeliest"\nproposals = 8\nopening = {OPENING}')):
        if told.count(old) != 1:
            raise SystemExit(f"{out}/run.toml does not say {old!r} once; train {RERANKED} by itself")
        told = told.replace(old, new)
    (out / "run.toml").write_text(told, encoding="utf-8")


def report(data_name: str, found: Sweep, costs: dict[str, str], cpu: float, seeds: int, samples: int) -> None:
    lines = []
    for key in dict.fromkeys((p.contender, p.temperature) for p in found.points):
        mine = [p for p in found.points if (p.contender, p.temperature) == key]
        lines.append((key[0], f"{key[1]:g}", *(interval([p.values[m] for p in mine], 4) for m in METRICS)))
    floors = ["" if found.floors[m] is None else f"{found.floors[m]:.4f}" for m in METRICS]
    text = table(("row", "temperature", *(found.names[m] for m in METRICS)), [*lines, ("real data", "", *floors)])
    tests = [test for axis in (0, 1) for first, other in combinations(found.contenders, 2) for test in compared(found, other, first, axis)]
    trained = "; ".join(f"{row}: {steps}" for row, steps in costs.items())
    keep(
        f"text_{data_name}_{cpu:g}s",
        f"Text: {data_name}, temperatures swept",
        f"Each row trained for steps that take {cpu:g} CPU seconds of one core ({trained}), {seeds} seed(s), {samples:,} samples a "
        f"point. The checkpoint kept is that of the best held-out likelihood (rows whose writer learns by it alone) or the best FD.\n\n{text}\n\n"
        "At equal variety (reverse LM score) the gain in quality, in nats a word; above 0 is better. The model of the LM score has counted the training lines, which "
        "rows have learned from and 'count-energy' has counted as well; that of held-out lines knows what none was trained on:\n\n"
        + table(("by", "row", "against", "at", "gain", "verdict"), tests),
    )


def compared(found: Sweep, row: str, other: str, axis: int) -> list[tuple[str, ...]]:
    """A line for each level of variety that both reach."""
    quality = found.names[AXES[axis][1]]
    try:
        levels = found.dominance(row, other, axis)
    except RecipeError as error:
        return [(quality, row, other, "", str(error), "")]
    inside = ["" if v.interval is None else f" ({v.interval[0]:+.3f} to {v.interval[1]:+.3f})" for v in levels]
    return [(quality, row, other, f"{v.variety:.3f}", f"{v.gain:+.3f}{i}", v.verdict) for v, i in zip(levels, inside, strict=True)]


# -- what a step costs --------------------------------------------------------------------------------------------------

BATCH, LENGTH, ROLLS, VOCABULARY = 64, 20, 16, 2000


def timed(what: Callable[[], object], times: int) -> float:
    """CPU seconds of a call, the median of several after one that does not count."""
    what()
    taken = []
    for _ in range(times):
        began = time.process_time()
        what()
        taken.append(time.process_time() - began)
    return float(np.median(taken))


def plain_rollouts(model: LanguageModel, tokens: Tensor, judge: torch.nn.Module, rolls: int) -> Tensor:
    """As published code has it: a loop over roll-outs and places, each token by a pass over all that came before it."""
    rewards = torch.zeros(tokens.shape)
    with torch.no_grad():
        for _ in range(rolls):
            for t in range(LENGTH):
                text = tokens[:, : t + 1]
                for _ in range(t + 1, LENGTH):
                    logits = model(torch.cat([text, text[:, :1]], 1))[:, -1]
                    text = torch.cat([text, chosen(logits, torch.rand(len(text)), 1.0, 1.0)[:, None]], 1)
                rewards[:, t] += judged(judge, text).sigmoid() / rolls
    return rewards


def speed() -> None:
    """An adversarial step with a score for each token, one with batched roll-outs, one with roll-outs in a loop."""
    spec = Spec("tokens", (LENGTH,), (0.0, VOCABULARY - 1.0), vocabulary=VOCABULARY)
    torch.manual_seed(0)
    model = LSTMLM(256, 1, 0.0).build(spec, Wiring())
    assert isinstance(model, LanguageModel)
    with torch.no_grad():
        model.bias[2] = -20.0  # no text ends early, so that all take the same work
    critic, whole = TokenJudge(192, 0.0).build(spec, Wiring()), TextCNN().build(spec, Wiring())

    def sampled() -> Tensor:
        return model.generate(torch.rand(BATCH, LENGTH))

    def learn(tokens: Tensor, reward: Tensor) -> None:
        model.zero_grad()
        ((reward - reward.mean(0)) * model.surprise(tokens)).mean().backward()  # type: ignore[no-untyped-call]

    def by_token() -> None:
        tokens = sampled()
        learn(tokens, judged(critic, tokens))

    def batched() -> None:
        tokens = sampled()
        learn(tokens, Rollout(judged="texts", rollouts=ROLLS).rewards({"generator": model, "discriminator": whole}, tokens, Draw(0, ())))

    def looped(rolls: int) -> None:
        tokens = sampled()
        learn(tokens, plain_rollouts(model, tokens, whole, rolls))

    assert len(completions(model, sampled()[:2], 2, Draw(0, ()))) == LENGTH - 1
    token = timed(by_token, 5)
    rolled = timed(batched, 1)
    began = time.process_time()
    looped(1)
    one = time.process_time() - began
    loop = token + (one - token) * ROLLS
    rows = [
        ("a score for each token", f"{token:.3f}", "1"),
        ("roll-outs, batched, state carried", f"{rolled:.2f}", f"{rolled / token:.0f}"),
        ("roll-outs in a Python loop", f"{loop:.1f}", f"{loop / token:.0f}"),
    ]
    rng = np.random.default_rng(0)
    lengths = rng.integers(8, 20, 10_200)
    both = Sentences(rng.zipf(1.3, int(lengths.sum())).astype(np.int64) % 5000, lengths)
    index = timed(lambda: bleu(both.take(np.arange(200)), both.take(np.arange(200, 10_200))), 3)
    keep(
        "text_speed",
        "Text: what an adversarial step costs",
        f"Generator's step (sampling, rewards, one teacher-forced pass, gradients), batch {BATCH}, length {LENGTH}, {ROLLS} roll-outs, "
        f"{VOCABULARY:,} tokens, LSTM of 256; CPU seconds of one core. The loop was timed with one of its {ROLLS} roll-outs and "
        f"multiplied.\n\n{table(('rewards by', 'seconds', 'times'), rows)}\n\n"
        f"BLEU-2 to 5 of 200 sentences against 10,000: {index:.3f} s.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["generate", "speed"])
    parser.add_argument("--data", choices=sorted(FILES), default="coco")
    parser.add_argument("--rows", default="mle-small,mle-reranked-small,count-energy-small,thought-energy-small")
    parser.add_argument("--cpu", type=float, default=240.0, help="CPU seconds of training for each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=2000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "speed":
        speed()
    else:
        generate(given.data, given.rows.split(","), given.cpu, given.seeds, given.samples)


if __name__ == "__main__":
    main()
