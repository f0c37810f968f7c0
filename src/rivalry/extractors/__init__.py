"""Feature spaces for rulers; each has a name that rulers carry, the hash of its weights, and its way of resizing."""

from rivalry.extractors.local import LocalExtractor, train_local

__all__ = ["LocalExtractor", "train_local"]
