"""Generators, trunks, discriminators and encoders: importing this registers them all."""

from __future__ import annotations

from rivalry.nets.autoencoder import BEGAN, Autoencoder, BEGANTrunk
from rivalry.nets.backbones import Backbone, EfficientNetLite0, RandomPyramid
from rivalry.nets.biggan import BigGAN, BigGANTrunk
from rivalry.nets.classifier import ColumnClassifier
from rivalry.nets.codes import Averaged, CodeNet
from rivalry.nets.contrast import PatchContrast, PatchProjector
from rivalry.nets.coupled import Coupled, CoupledDiscriminator
from rivalry.nets.cross_aligned import CrossAligned, StatesJudge
from rivalry.nets.dcgan import DCGAN, DCGANTrunk
from rivalry.nets.discriminators import Discriminator, Encoder, JointDiscriminator
from rivalry.nets.editor import Editor
from rivalry.nets.fastgan import FastGAN, FastGANTrunk
from rivalry.nets.language import LSTMLM, TransformerLM
from rivalry.nets.latent import LatentJudge
from rivalry.nets.mlp import MLP, MLPTrunk
from rivalry.nets.patches import PatchGAN, UNetJudge
from rivalry.nets.projected import Projected
from rivalry.nets.records import RecordNet, RecordTrunk
from rivalry.nets.resnet import ResNet, ResNetTrunk
from rivalry.nets.resnet3 import ResNet3, ResNet3Trunk
from rivalry.nets.restorers import Restorer
from rivalry.nets.series import (
    RCGANJudge,
    RCGANNet,
    TimeGANEmbedder,
    TimeGANGenerator,
    TimeGANJudge,
    TimeGANRecovery,
    TimeGANSupervisor,
)
from rivalry.nets.spectral import spectral
from rivalry.nets.square import SquareTable, SquareTrunk
from rivalry.nets.style_judges import StyleJudge
from rivalry.nets.style_transformer import StyleTransformer
from rivalry.nets.stylegan2 import StyleGAN2, StyleGAN2Trunk, Truncates
from rivalry.nets.summary import count, describe
from rivalry.nets.table import TableNet
from rivalry.nets.teachers import Teachers
from rivalry.nets.text_judges import TextCNN, TokenJudge
from rivalry.nets.translators import ResNetTranslator, UNet
from rivalry.nets.trunk import Seen, Trunk, TrunkModule

__all__ = [
    "BEGAN",
    "DCGAN",
    "LSTMLM",
    "MLP",
    "Autoencoder",
    "Averaged",
    "BEGANTrunk",
    "Backbone",
    "BigGAN",
    "BigGANTrunk",
    "CodeNet",
    "ColumnClassifier",
    "Coupled",
    "CoupledDiscriminator",
    "CrossAligned",
    "DCGANTrunk",
    "Discriminator",
    "Editor",
    "EfficientNetLite0",
    "Encoder",
    "FastGAN",
    "FastGANTrunk",
    "JointDiscriminator",
    "LatentJudge",
    "MLPTrunk",
    "PatchContrast",
    "PatchGAN",
    "PatchProjector",
    "Projected",
    "RCGANJudge",
    "RCGANNet",
    "RandomPyramid",
    "RecordNet",
    "RecordTrunk",
    "ResNet",
    "ResNet3",
    "ResNet3Trunk",
    "ResNetTranslator",
    "ResNetTrunk",
    "Restorer",
    "Seen",
    "SquareTable",
    "SquareTrunk",
    "StatesJudge",
    "StyleGAN2",
    "StyleGAN2Trunk",
    "StyleJudge",
    "StyleTransformer",
    "TableNet",
    "Teachers",
    "TextCNN",
    "TimeGANEmbedder",
    "TimeGANGenerator",
    "TimeGANJudge",
    "TimeGANRecovery",
    "TimeGANSupervisor",
    "TokenJudge",
    "TransformerLM",
    "Truncates",
    "Trunk",
    "TrunkModule",
    "UNet",
    "UNetJudge",
    "count",
    "describe",
    "spectral",
]
