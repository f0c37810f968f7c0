"""Generators, trunks, discriminators and encoders: importing this registers them all."""

from __future__ import annotations

from rivalry.nets.adapting import FlatTranslator, PictureClassifier
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
from rivalry.nets.leaking import LeakLM
from rivalry.nets.mlp import MLP, MLPTrunk
from rivalry.nets.patches import PatchGAN, UNetJudge
from rivalry.nets.projected import Projected
from rivalry.nets.records import RecordNet, RecordTrunk
from rivalry.nets.relational import RelationalLM, TextViews
from rivalry.nets.replying import ReplyJudge, ReplyLM
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
from rivalry.nets.stylegan2 import Styled, StyleGAN2, StyleGAN2Trunk, Truncates
from rivalry.nets.summary import count, describe
from rivalry.nets.table import TableNet
from rivalry.nets.teachers import Teachers
from rivalry.nets.text_codes import CodeCritic, CodeLM, CodeMaker, TextReader
from rivalry.nets.text_counts import TextCounts
from rivalry.nets.text_judges import TextCNN, TextThoughts, TokenJudge
from rivalry.nets.translators import ResNetTranslator, UNet
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.nets.two_sets import MUNIT, UNIT

__all__ = [
    "BEGAN",
    "DCGAN",
    "LSTMLM",
    "MLP",
    "MUNIT",
    "UNIT",
    "Autoencoder",
    "Averaged",
    "BEGANTrunk",
    "Backbone",
    "BigGAN",
    "BigGANTrunk",
    "CodeCritic",
    "CodeLM",
    "CodeMaker",
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
    "FlatTranslator",
    "JointDiscriminator",
    "LatentJudge",
    "LeakLM",
    "MLPTrunk",
    "PatchContrast",
    "PatchGAN",
    "PatchProjector",
    "PictureClassifier",
    "Projected",
    "RCGANJudge",
    "RCGANNet",
    "RandomPyramid",
    "RecordNet",
    "RecordTrunk",
    "RelationalLM",
    "ReplyJudge",
    "ReplyLM",
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
    "Styled",
    "TableNet",
    "Teachers",
    "TextCNN",
    "TextCounts",
    "TextReader",
    "TextThoughts",
    "TextViews",
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
