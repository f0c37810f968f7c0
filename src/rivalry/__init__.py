"""rivalry: train generative adversarial networks on your own data, until they are good enough, and know how good.

    import rivalry
    run = rivalry.train("mnist-5k", budget="3m")
    pictures = run.sample(64)

Names are imported when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rivalry.api import Run, compare, load, train
    from rivalry.data import ReadOptions, inspect
    from rivalry.errors import RivalryError
    from rivalry.recipe import Recipe
    from rivalry.styling import restyle

_WHERE = {
    "ReadOptions": ("rivalry.data", "ReadOptions"),
    "Recipe": ("rivalry.recipe", "Recipe"),
    "RivalryError": ("rivalry.errors", "RivalryError"),
    "Run": ("rivalry.api", "Run"),
    "compare": ("rivalry.api", "compare"),
    "inspect": ("rivalry.data", "inspect"),
    "load": ("rivalry.api", "load"),
    "restyle": ("rivalry.styling", "restyle"),
    "train": ("rivalry.api", "train"),
}

__all__ = [
    "ReadOptions",
    "Recipe",
    "RivalryError",
    "Run",
    "compare",
    "inspect",
    "load",
    "restyle",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'rivalry' has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
