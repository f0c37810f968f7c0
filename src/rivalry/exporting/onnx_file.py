"""Writing a module as an ONNX file, and holding the file against the module in onnxruntime."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rivalry.errors import MissingExtra, RunError
from rivalry.files import atomic

TOLERANCE = 1e-4
"""Largest difference between the file and the module that is let through, relative to the largest value (at least 1): float32
sums in another order."""
NOISY = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


@dataclass(frozen=True)
class Exported:
    """path: the file; inputs: their names with shapes; difference: the largest between file and network, relative to the
    largest value (at least 1), over `checked` inputs."""

    path: Path
    inputs: tuple[tuple[str, tuple[str, ...]], ...]
    difference: float
    checked: int

    def text(self) -> str:
        shapes = "; ".join(f"{name} [{', '.join(shape)}]" for name, shape in self.inputs)
        return (
            f"{self.path} takes {shapes}\n"
            f"held against the network in onnxruntime on {self.checked} inputs: the largest difference is {self.difference:.1e}"
        )


def need() -> None:
    """MissingExtra where what exporting takes is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise MissingExtra("export", "writing ONNX files") from None


def write_onnx(
    module: nn.Module, names: Sequence[str], cases: Sequence[Sequence[Tensor]], moving: Sequence[Mapping[int, str]],
    output: str, told: Mapping[str, Any], out: Path,
) -> Exported:  # fmt: skip
    """module: in evaluation mode, on the CPU.  names: of its arguments.  cases: arguments to hold file and module against
    each other with; the first is exported with, so its sizes should be neither 0, 1 nor alike.  moving: names of each
    argument's dimensions that may have any size.  told: what the file says of itself, as JSON under 'rivalry'.

    Raises MissingExtra without onnx, onnxscript and onnxruntime, RunError where the network cannot be exported, or the file
    gives anything else than it; then nothing is written.
    """
    need()
    with atomic(out) as beside:
        _write(module, names, cases[0], moving, output, told, beside)
        difference = compare(module, cases, beside)
        if not difference <= TOLERANCE:
            raise RunError(f"the exported network differs from the original by {difference:.1e} of the largest value, so it was not kept")
    shapes = tuple(
        (name, tuple(dims.get(i, str(size)) for i, size in enumerate(case.shape))) for name, dims, case in zip(names, moving, cases[0], strict=True)
    )
    return Exported(out, shapes, difference, len(cases))


def _write(
    module: nn.Module, names: Sequence[str], case: Sequence[Tensor], moving: Sequence[Mapping[int, str]], output: str,
    told: Mapping[str, Any], path: Path,
) -> None:  # fmt: skip
    from torch.export import Dim

    shapes = tuple({i: Dim(name) for i, name in dims.items()} for dims in moving)
    with _quiet():
        try:
            program = torch.onnx.export(
                module, tuple(case), dynamo=True, dynamic_shapes=shapes, input_names=list(names), output_names=[output],
                external_data=False, verbose=False,
            )  # fmt: skip
        except Exception as error:  # the exporter raises whatever its passes trip over
            raise RunError(f"this network cannot be written as ONNX: {str(error).strip().splitlines()[0]}") from error
    assert program is not None
    model = program.model
    model.metadata_props["rivalry"] = json.dumps(dict(told), sort_keys=True)
    model.producer_name = "rivalry"
    _forget_places(model)
    program.save(str(path))


def _forget_places(model: Any) -> None:
    """The exporter notes files and lines of this machine beside every node; they go."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None


def compare(module: nn.Module, cases: Sequence[Sequence[Tensor]], path: Path) -> float:
    """The largest difference between what the module and the file make of the cases, relative to the largest value (at
    least 1).  RunError where onnxruntime cannot load the file or run it on a case."""
    try:
        return _difference(module, cases, path)
    except Exception as error:  # onnxruntime has a class of its own for each of its failures
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RunError(
            f"onnxruntime cannot run the exported network: {first}; update it (pip install -U onnxruntime), or use the run itself: rivalry apply"
        ) from error


def _difference(module: nn.Module, cases: Sequence[Sequence[Tensor]], path: Path) -> float:
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names, worst = [i.name for i in session.get_inputs()], 0.0
    for case in cases:
        with torch.inference_mode():
            expected = module(*case).numpy()
        made = session.run(None, dict(zip(names, (a.numpy() for a in case), strict=True)))[0]
        if made.shape != expected.shape or not np.isfinite(made).all():
            return float("inf")
        worst = max(worst, float(np.abs(made - expected).max() / max(1.0, np.abs(expected).max())))
    return worst


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's own news: deprecations inside it, and operators of packages that are not here."""
    loggers = [logging.getLogger(name) for name in NOISY]
    before = [one.level for one in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for one in loggers:
                one.setLevel(logging.CRITICAL)
            yield
        finally:
            for one, level in zip(loggers, before, strict=True):
                one.setLevel(level)
