"""Real files, made small and by seed, in every format that is read."""

import numpy as np
import torch
from PIL import Image


def noise(n, *shape, seed=0, dtype=np.uint8):
    """[n, *shape] of uniform integers over the dtype's range."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, (n, *shape), dtype=dtype, endpoint=True)


def smooth(n, height, width, seed=0):
    """[n, height, width, 3] uint8 of soft random blobs: pictures that survive resizing and JPEG."""
    small = noise(n, 4, 4, 3, seed=seed)
    return np.stack([np.asarray(Image.fromarray(s).resize((width, height), Image.Resampling.BICUBIC)) for s in small])


def save_all(folder, pictures, ending=".png", names=None):
    """Each [H, W] or [H, W, C] picture as a file; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / (f"{i:03d}{ending}" if names is None else names[i]) for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return paths


def everything(store):
    """All raw rows of a store."""
    return store.raw(torch.arange(len(store)))


def contents(dataset):
    """The set of raw rows of both sides, as bytes."""
    return [{row.numpy().tobytes() for row in everything(side)} for side in (dataset.train, dataset.held)]
