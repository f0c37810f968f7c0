"""Augmentations: what a judge sees, changed differentiably, real and fake alike."""

from rivalry.augment.ada import ADA
from rivalry.augment.diffaugment import DiffAugment
from rivalry.augment.light import Compose, Cutout, Flip, Jitter, Noise, Translate

__all__ = ["ADA", "Compose", "Cutout", "DiffAugment", "Flip", "Jitter", "Noise", "Translate"]
