"""Augmentations: what a judge sees, changed differentiably, real and fake alike."""

from rivalry.augment.light import Compose, Cutout, Flip, Jitter, Noise, Translate

__all__ = ["Compose", "Cutout", "Flip", "Jitter", "Noise", "Translate"]
