"""Latency and memory of networks that change pictures: `rivalry apply` in tiles beside the exported file in onnxruntime.

Each measurement has a process of its own, on one picture.  'rivalry' is
`rivalry.changing.change`, what `rivalry apply` does between reading and writing; 'onnxruntime' is the loop of
examples/onnx_apply.py on the exported file, with the same threads and, for networks without statistics over the whole picture,
tiles of 512 pixels (the others go through it whole).  Seconds are of the processor, the lesser of two rounds, a megapixel of the
input; memory is what the process grew by at its peak.

    python benchmarks/applying.py
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from common import HERE, keep, table

from rivalry.changing import Changer, Ways, change
from rivalry.exporting import export_changer
from rivalry.nets import ResNetTranslator, Restorer, UNet
from rivalry.nets.restorers import ChangeModule
from rivalry.parts import Net, Wiring
from rivalry.training.engine import keep_freed_memory
from rivalry.types import Spec

NETS: dict[str, tuple[Net, int]] = {
    "restorer, 32 x 8, x1": (Restorer(width=32, blocks=8, body="plain"), 1),
    "restorer, 64 x 8 residual, x4": (Restorer(width=64, blocks=8), 4),
    "restorer, 64 x 8, folded, x1": (Restorer(width=64, blocks=8, shrink=2), 1),
    "U-Net, 32, depth 4": (UNet(width=32, depth=4), 1),
    "ResNet translator, 32 x 6": (ResNetTranslator(width=32, blocks=6), 1),
}
SIDES = (1024,)
LARGER = {"ResNet translator, 32 x 6": 2048}
"""A picture that is too large for one piece, of a network that looks at the whole."""
ROUNDS = 2


def changer(name: str) -> Changer:
    net, scale = NETS[name]
    torch.manual_seed(0)
    module = net.build(Spec("image", (3, 64 * scale, 64 * scale)), Wiring(source=(3, 64, 64))).eval().requires_grad_(False)
    assert isinstance(module, ChangeModule)
    return Changer(module, 3, 3, scale, module.reach, module.multiple)


def by_rivalry(name: str, side: int) -> Callable[[], object]:
    keep_freed_memory()  # as `rivalry apply` does
    made, x = changer(name), torch.rand(3, side, side)
    return lambda: change(made, x, Ways())


def by_onnxruntime(name: str, side: int, model: str) -> Callable[[], object]:
    spec = importlib.util.spec_from_file_location("onnx_apply", HERE.parent / "examples" / "onnx_apply.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    network = example.Network(model, torch.get_num_threads(), 0)
    x = np.random.default_rng(0).random((3, side, side), np.float32) * 2 - 1
    return lambda: example.change(network, x, np.zeros((1, side, side), np.float32), 512)


def peak() -> int:
    """MiB of this process at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(name: str, side: int, model: str) -> None:
    """Prints [seconds, MiB] a megapixel."""
    go = by_onnxruntime(name, side, model) if model else by_rivalry(name, side)
    before, seconds = peak(), list[float]()
    for _ in range(ROUNDS):
        start = time.process_time()
        go()
        seconds.append(time.process_time() - start)
    megapixels = side * side / 2**20
    print(json.dumps([min(seconds) / megapixels, (peak() - before) / megapixels]))


def asked(name: str, side: int, model: str) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, "--side", str(side), "--model", model], check=True, capture_output=True, text=True
    )
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", type=Path, help="a file of JSON lines that rows are added to; those in it are not measured again")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--model", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        measure(given.one, given.side, given.model)
        return
    rows = [json.loads(line) for line in given.kept.read_text().splitlines()] if given.kept and given.kept.exists() else []
    done = {(row[0], row[1]) for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        for name in NETS:
            sides = [s for s in (*SIDES, *([LARGER[name]] if name in LARGER else [])) if (name, f"{s}x{s}") not in done]
            model = export_changer(changer(name), Path(folder) / "model.onnx").path if sides else None
            for side in sides:
                (ours, our_memory), (theirs, their_memory) = asked(name, side, ""), asked(name, side, str(model))
                rows.append([name, f"{side}x{side}", ours, theirs, f"{ours / theirs:.2f}", round(our_memory), round(their_memory)])
                print(rows[-1], file=sys.stderr, flush=True)
                if given.kept:
                    with given.kept.open("a") as lines:
                        lines.write(json.dumps(rows[-1]) + "\n")
    head = ("network", "picture", "rivalry, s/MP", "onnxruntime, s/MP", "ratio", "rivalry, MiB/MP", "onnxruntime, MiB/MP")
    keep("applying", "Changing pictures: latency and memory", f"{(__doc__ or '').split(chr(10) * 2)[1]}\n\n{table(head, rows)}")


if __name__ == "__main__":
    main()
