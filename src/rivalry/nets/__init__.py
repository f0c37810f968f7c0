"""Generators, trunks, discriminators and encoders: importing this registers them all."""

from __future__ import annotations

from rivalry.nets.dcgan import DCGAN, DCGANTrunk
from rivalry.nets.discriminators import Discriminator, Encoder, JointDiscriminator
from rivalry.nets.mlp import MLP, MLPTrunk
from rivalry.nets.spectral import spectral
from rivalry.nets.summary import count, describe
from rivalry.nets.trunk import Seen, Trunk, TrunkModule

__all__ = [
    "DCGAN",
    "MLP",
    "DCGANTrunk",
    "Discriminator",
    "Encoder",
    "JointDiscriminator",
    "MLPTrunk",
    "Seen",
    "Trunk",
    "TrunkModule",
    "count",
    "describe",
    "spectral",
]
