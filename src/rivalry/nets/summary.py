"""How large a network is, in words."""

from __future__ import annotations

from torch import nn

from rivalry.catalogue import name_of
from rivalry.parts import Net, Wiring, couples_batch
from rivalry.types import Spec


def count(module: nn.Module) -> int:
    """The number of its parameters (shared ones once)."""
    return sum(p.numel() for p in module.parameters())


def describe(net: Net, spec: Spec, wiring: Wiring) -> str:
    """A table in plain text: the net's name and size, then its children with theirs."""
    module = net.build(spec, wiring)
    title = name_of(net) or type(net).__name__
    shape = " x ".join(map(str, spec.shape))
    lines = [f"{title}: {count(module):,} parameters for {spec.kind} of {shape}"]
    if couples_batch(module):
        lines[0] += "; examples of a batch influence one another"
    for name, child in module.named_children():
        if count(child):
            lines.append(f"  {name:<12} {type(child).__name__:<24} {count(child):>12,}")
    return "\n".join(lines)
