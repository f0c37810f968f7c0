"""Images per second of our loop, with logging, averaging and previews on, against two plain loops on the same nets.

'rivalry' is what `rivalry train` does by itself: bfloat16 where the processor has instructions for it; 'float32' is the same
with --precision float32.  'tutorial' is the loop as introductions write it: Adam as it comes, two backward passes for the discriminator, .item()
every step, a DataLoader of pictures; 'careful' detaches, keeps data as uint8 in memory, uses fused Adam and
channels-last, and synchronises never.  Each loop has a process of its own, as a user would run it (ours sets the
allocator of its process); rounds alternate, the others wait; medians and ratios are quoted.

    python benchmarks/speed.py
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from common import WORK, keep, table, threads
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, TensorDataset

from rivalry.data import Dataset, load
from rivalry.evaluate import Judge, choose_extractor
from rivalry.games import Sample
from rivalry.nets import DCGAN, DCGANTrunk, Discriminator, ResNet, ResNetTrunk
from rivalry.objectives import GAN
from rivalry.recipe import EMA, About, Recipe
from rivalry.run import Run
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.plan import Plan
from rivalry.training.session import Request, usual_precision
from rivalry.training.state import build_state
from rivalry.training.watch import Watch
from rivalry.zoo.rows import Duel

BATCH, LATENT = 64, 100
LOOPS = ("rivalry", "float32", "tutorial", "careful")
RATIOS = (("rivalry", "tutorial"), ("rivalry", "careful"), ("float32", "tutorial"), ("float32", "careful"))


def recipes() -> dict[str, tuple[int, Recipe]]:
    """Name -> (picture size, recipe)."""
    dcgan = Duel(GAN(), DCGAN(width=32), Discriminator(DCGANTrunk(width=32)), Sample(latent=LATENT), batch=BATCH,
                 ema=EMA(), together=True)  # fmt: skip
    resnet = replace(dcgan, generator=ResNet(width=32, cap=64), discriminator=Discriminator(ResNetTrunk(32, 64)))
    return {
        "DCGAN, 64 px": (64, dcgan.recipe("dcgan-64", About())),
        "ResNet, 32 px": (32, resnet.recipe("resnet-32", About())),
    }


def pictures(size: int, n: int = 2048) -> Tensor:
    return torch.randint(256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def ours(recipe: Recipe, data: Dataset, steps: int, precision: str) -> Callable[[], None]:
    """Our loop as `rivalry train` runs it: notes, metrics, health, averages, previews, progress."""
    path = WORK / "speed" / str(os.getpid())
    shutil.rmtree(path, ignore_errors=True)
    engine = Engine("cpu", precision or usual_precision(Request(recipe), data.spec))
    state = build_state(recipe, data.spec, 0, engine.device)
    trainer = Trainer(state, data.train, 10**9, engine)
    run = Run.claim(str(path))
    run.begin({})
    plan = Plan(10**9, log=20, pulse=100, preview=200, look=10**9, save=10**9)
    judge = Judge(data, choose_extractor(data, None, engine.device, path / "private"), None, 0, engine.device)
    watch = Watch(run, plan, judge, data, engine)
    watch.__enter__()
    watch.bind(trainer)

    def go() -> None:
        for _ in range(steps):
            trainer.step()
            watch.after_step(state)

    return go


def tutorial(recipe: Recipe, data: Dataset, raw: Tensor, steps: int) -> Callable[[], None]:
    nets = recipe.build(data.spec)
    g, d = nets["generator"], nets["discriminator"]
    on_g, on_d = (torch.optim.Adam(m.parameters(), 2e-4, (0.5, 0.999)) for m in (g, d))
    loader = DataLoader(TensorDataset(raw), BATCH, shuffle=True, drop_last=True)
    average = {k: v.clone() for k, v in g.state_dict().items()}

    def go() -> None:
        done = 0
        while done < steps:
            for (batch,) in loader:
                x = batch.float() / 127.5 - 1
                on_d.zero_grad()
                real_loss = bce(d(x)["score"], torch.ones(BATCH))
                real_loss.backward()
                fake = g(torch.randn(BATCH, LATENT))
                fake_loss = bce(d(fake.detach())["score"], torch.zeros(BATCH))
                fake_loss.backward()
                on_d.step()
                on_g.zero_grad()
                loss = bce(d(fake)["score"], torch.ones(BATCH))
                loss.backward()
                on_g.step()
                _ = (real_loss.item(), fake_loss.item(), loss.item())
                for k, v in g.state_dict().items():
                    average[k] = average[k] * 0.999 + v * 0.001
                done += 1
                if done == steps:
                    break

    return go


def careful(recipe: Recipe, data: Dataset, raw: Tensor, steps: int) -> Callable[[], None]:
    nets = {k: m.to(memory_format=torch.channels_last) for k, m in recipe.build(data.spec).items()}
    g, d = nets["generator"], nets["discriminator"]
    on_g, on_d = (torch.optim.Adam(m.parameters(), 2e-4, (0.5, 0.999), fused=True) for m in (g, d))
    live = [p.detach() for p in g.parameters()]
    average = [p.clone() for p in live]

    def freeze(module: nn.Module, free: bool) -> None:
        module.requires_grad_(free)

    def go() -> None:
        for _ in range(steps):
            x = raw[torch.randint(len(raw), (BATCH,))].float().div_(127.5).sub_(1)
            fake = g(torch.randn(BATCH, LATENT))
            on_d.zero_grad(set_to_none=True)
            (softplus(-d(x)["score"]).mean() + softplus(d(fake.detach())["score"]).mean()).backward()
            on_d.step()
            on_g.zero_grad(set_to_none=True)
            freeze(d, False)
            softplus(-d(fake)["score"]).mean().backward()
            freeze(d, True)
            on_g.step()
            torch._foreach_lerp_(average, live, 0.001)

    return go


def loop(name: str, net: str, steps: int) -> Callable[[], None]:
    size, recipe = recipes()[net]
    raw = pictures(size)
    data = load(raw.numpy())
    if name in ("rivalry", "float32"):
        return ours(recipe, data, steps, "" if name == "rivalry" else name)
    return (tutorial if name == "tutorial" else careful)(recipe, data, raw, steps)


def serve(name: str, net: str, steps: int) -> None:
    """A loop that runs a round for every line it is sent, and answers with images a second."""
    go = loop(name, net, steps)
    go()
    print("ready", flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        go()
        print(steps * BATCH / (time.perf_counter() - begun), flush=True)


def measure(net: str, rounds: int, steps: int, count: int) -> dict[str, list[float]]:
    """Images per second of each loop, round by round, in turn."""
    command = [sys.executable, __file__, "--net", net, "--steps", str(steps), "--threads", str(count), "--serve"]
    loops = {name: subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in LOOPS}
    for one in loops.values():
        answer(one)
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, one in loops.items():
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
            rates[name].append(float(answer(one)))
    for one in loops.values():
        one.communicate()
    return rates


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = process.stdout.readline()
    return said if said else sys.exit("a loop has stopped; see above")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--net", default="", help="one of them only")
    parser.add_argument("--serve", default="", choices=["", *LOOPS], help="be one of the loops")
    given = parser.parse_args()
    threads(given.threads)
    if given.serve:
        serve(given.serve, given.net, given.steps)
        return
    rows = []
    for name in [given.net] if given.net else recipes():
        rates = measure(name, given.rounds, given.steps, given.threads)
        medians = {k: statistics.median(v) for k, v in rates.items()}
        ratios = [statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True)) for one, other in RATIOS]
        rows.append((name, *(f"{medians[k]:.0f}" for k in LOOPS), *(f"{r:.2f}" for r in ratios)))
    head = ("nets", *LOOPS, *(" / ".join(pair) for pair in RATIOS))
    text = table(head, rows) + (
        f"\n\nImages per second, medians of {given.rounds} alternating rounds of {given.steps} steps, batch {BATCH}; ratios are "
        "medians of the rounds' own. 'rivalry' is the loop as it comes, in bfloat16 where the processor has instructions for it, 'float32' the "
        "same with --precision float32; the plain loops are in float32."
    )
    keep("speed", "Speed of the loop", text)


if __name__ == "__main__":
    main()
