"""Feature spaces for rulers; each has a name that rulers carry, the hash of its weights, and its way of resizing.

local               trained on the training split in seconds (`train_local`); comparable within one project
inception           TensorFlow's Inception-v3 of 2015, the user's weights: "FID"
dinov2              DINOv2 ViT-L/14 (DINOv2-B, DINOv2-S: the smaller ones), the user's weights
efficientnet-lite0  ImageNet features from packages, the extra `efficientnet`
squeezenet          SqueezeNet 1.0 on ImageNet, the user's .npz; also perceptual distances (`Perceptual`)
coordinates         points as they are (`PointsExtractor`)
"""

from __future__ import annotations

from pathlib import Path

import torch

from rivalry.errors import UnknownName, WeightsError
from rivalry.extractors import dino, efficientnet, inception, squeezenet
from rivalry.extractors.base import Extractor, NetworkExtractor, PointsExtractor
from rivalry.extractors.local import LocalClassifier, LocalExtractor, LocalFeatures
from rivalry.extractors.local_training import Draw, drawing, train_local
from rivalry.extractors.squeezenet import Perceptual, SqueezeNet
from rivalry.extractors.weights import fingerprint, read_state

_LOADERS = {"inception": inception.load, "dinov2": dino.load, "squeezenet": squeezenet.load}
_MARKS = {"inception": inception.MARK, "dinov2": dino.MARK, "squeezenet": squeezenet.MARK}
_FILES = {
    "inception": "pt_inception-2015-12-05-6726825d.pth",
    "dinov2": "dinov2_vitl14_pretrain.pth",
    "squeezenet": "squeezenet10_imagenet_decoded.npz",
    "local": "extractor.safetensors",
}
NAMES = ("dinov2", "efficientnet-lite0", "inception", "local", "squeezenet")
"""What `extractor` knows by name."""


def extractor(name: str | Path, weights: str | Path | None = None, device: torch.device | str = "cpu") -> Extractor:
    """A feature space by name, with its weights' file, or by the file alone, whose tensors say what they are of.

    UnknownName with the nearest name; WeightsError where a file is needed, missing or of no known network;
    MissingExtra for efficientnet-lite0 without its packages.
    """
    known = str(name)
    if known not in NAMES:
        if Path(name).suffix or Path(name).exists():
            return _by_file(Path(name), device)
        raise UnknownName("feature space", known, NAMES)
    if known == "efficientnet-lite0":
        return efficientnet.load(weights, device)
    if weights is None:
        raise WeightsError(
            f"the feature space {known!r} needs a file of weights, such as {_FILES[known]}; give its path"
        )
    if known == "local":
        return LocalExtractor.load(Path(weights), device)
    return _LOADERS[known](weights, device)


def _by_file(path: Path, device: torch.device | str) -> Extractor:
    state = read_state(path)
    for name, mark in _MARKS.items():
        if mark in state:
            return _LOADERS[name](state, device)
    if "net.size" in state:
        return LocalExtractor.load(path, device)
    raise WeightsError(f"{path} holds weights of no known feature space; known: {', '.join(NAMES)}")


__all__ = [
    "NAMES",
    "Draw",
    "Extractor",
    "LocalClassifier",
    "LocalExtractor",
    "LocalFeatures",
    "NetworkExtractor",
    "Perceptual",
    "PointsExtractor",
    "SqueezeNet",
    "drawing",
    "extractor",
    "fingerprint",
    "read_state",
    "train_local",
]
