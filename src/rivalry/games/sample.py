"""The game of most GANs: noise in, a sample out, judged against real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.games.lazy import LazyPlay, draw_codes, join_codes, latent, lazy, need_label
from rivalry.nets.stylegan2 import Styled
from rivalry.parts import Game, Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import Match, Point, Spec


@register("game", "sample")
@dataclass(frozen=True)
class Sample(Game):
    """G(z) against x: the match is 'main', between nets 'generator' and 'discriminator'.

    latent: length of the noise; distribution: what it is drawn from; conditional: labels go to both players
    (the generator's are drawn from those of real rows); codes, code_reals: InfoGAN's codes beside the noise
    (pair 'code'; with an 'encoder', pairs 'code-real' and 'code-category' compare what it finds in G(z): ClusterGAN);
    spread: factor on the noise; bits: so many further entries of the noise are -1 or 1 with equal chance, which lets a
    continuous generator jump between modes; pack: PacGAN's packing; latent_step: LOGAN's step z + a dD/dz, its size; pseudo: APA, real ones
    swapped for fakes with the chance in knob 'apa'.  Pair 'latent-neighbour' is (G(z), G(z + .03 eps)) for ICR, 'rows' is
    (x, G(z)).
    """

    latent: int = 128
    distribution: Literal["normal", "uniform", "sphere"] = "normal"
    spread: float = 1.0
    bits: int = 0
    conditional: bool = False
    codes: tuple[int, ...] = ()
    code_reals: int = 0
    pack: int = 1
    latent_step: float = 0.0
    pseudo: bool = False

    def __post_init__(self) -> None:
        for name in ("latent", "bits", "code_reals"):
            if getattr(self, name) < 0:
                raise RecipeError(f"game.{name} must be a number from 0, not {getattr(self, name)}")

    def wiring(self, spec: Spec) -> Wiring:
        if self.conditional and not spec.classes:
            raise RecipeError(
                "this recipe is conditional, but the data have no labels; pick an unconditional one or label them"
            )
        return Wiring(
            latent=self.latent + self.bits + sum(self.codes) + self.code_reals,
            classes=spec.classes if self.conditional else 0,
            codes=self.codes,
            code_reals=self.code_reals,
            pack=self.pack,
        )

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        wiring = Wiring(codes=self.codes, code_reals=self.code_reals)
        n, draw = turn.batch, turn.draw
        real = lazy(lambda: source.batch("real", turn))
        codes = lazy(lambda: draw_codes(draw, n, wiring))

        def conditions(name: str) -> tuple[Tensor, ...]:
            """Labels for fakes: those of the real rows, in another order, so that the match stays balanced."""
            if not self.conditional:
                return ()
            label = need_label(real().label, "this game")
            return (label[draw.at(name).permutation("label", len(label))],)

        def noise() -> Tensor:
            z = self._noise(draw, n)
            if self.codes or self.code_reals:
                z = join_codes(z, *codes(), wiring)
            return z

        cond = lazy(lambda: conditions("fake"))
        z = lazy(lambda: self._step_latent(nets, noise(), cond()))
        fake = lazy(lambda: self.generate(nets, z(), cond(), turn))

        def main() -> Match:
            batch = real()
            real_cond = (need_label(batch.label, "this game"),) if self.conditional else ()
            x = batch.x
            if self.pseudo:
                swap = draw.uniform("apa", n) < turn.knob("apa", 0.0)
                x = torch.where(swap.view(-1, *[1] * (x.dim() - 1)), fake().detach(), x)
                if real_cond:
                    real_cond = (torch.where(swap, cond()[0], real_cond[0]),)
            return Match("discriminator", Point(x, real_cond), Point(fake(), cond(), z()), pack=self.pack)

        def neighbour() -> tuple[Tensor, ...]:
            near = z() + 0.03 * draw.normal("neighbour", *z().shape)
            return fake(), self.generate(nets, near, cond(), turn)

        pairs = self._pairs(nets, turn, cond, codes, lazy(neighbour), z, fake)
        return LazyPlay(nets, {"main": lazy(main)}, {**pairs, "rows": lambda: (real().x, fake())})

    def _pairs(
        self,
        nets: Mapping[str, nn.Module],
        turn: Turn,
        cond: Callable[[], tuple[Tensor, ...]],
        codes: Callable[[], tuple[Tensor, Tensor]],
        neighbour: Callable[[], tuple[Tensor, ...]],
        z: Callable[[], Tensor],
        fake: Callable[[], Tensor],
    ) -> dict[str, Callable[[], tuple[Tensor, ...]]]:
        coded = lazy(lambda: nets["encoder"](fake())[0])

        def category() -> tuple[Tensor, ...]:
            return coded()[:, self.latent :], codes()[0][:, 0]

        return {
            "code": codes,
            "code-real": lambda: (coded()[:, : self.latent], z()[:, : self.latent]),
            "code-category": category,
            "latent-neighbour": neighbour,
            "generated": lambda: (z(), fake()),
        }

    def _noise(self, draw: Draw, n: int) -> Tensor:
        """[n, latent + bits]: the noise without codes."""
        z = latent(draw, n, self.latent, self.distribution) * self.spread
        if not self.bits:
            return z
        return torch.cat([z, draw.integers("bits", 2, n, self.bits) * 2.0 - 1.0], 1)

    @property
    def spherical(self) -> bool:
        return self.distribution == "normal"

    def latents(self, draw: Draw, n: int, wiring: Wiring, truncation: float = 1.0) -> Tensor:
        """[n, wiring.latent]: the noise, nearer to its middle, and codes, as training draws them."""
        z = truncate(self._noise(draw, n), truncation)
        return join_codes(z, *draw_codes(draw, n, wiring), wiring) if self.codes or self.code_reals else z

    def generate(self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], turn: Turn) -> Tensor:
        x: Tensor = nets["generator"](z, *cond)
        return x

    def _step_latent(self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...]) -> Tensor:
        """LOGAN (Wu et al. 2019): z moved along the slope of the discriminator's score, normalised per example."""
        if not self.latent_step:
            return z
        with torch.enable_grad():  # not func.grad: the generator's batch norm tracks statistics
            at = z.detach().requires_grad_()
            score = nets["discriminator"](nets["generator"](at, *cond), *cond)["score"].sum()
            (slope,) = torch.autograd.grad(score, at)
        return z + self.latent_step * slope / (slope.square().mean(1, keepdim=True) + 1e-2)

    def sample(
        self,
        nets: Mapping[str, nn.Module],
        wiring: Wiring,
        draw: Draw,
        n: int,
        label: Tensor | None = None,
        truncation: float = 1.0,
    ) -> Tensor:
        z = self.latents(draw, n, wiring, truncation)
        return self.from_latent(nets, z, (need_label(label, "this game"),) if self.conditional else (), truncation)

    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        """[n, *shape] for given latents: what interpolations walk along."""
        x: Tensor = nets["generator"](z, *cond)
        return x


def truncate(z: Tensor, truncation: float) -> Tensor:
    """BigGAN's truncation by scaling: 1 leaves the latents as they are, 0 is the mean picture."""
    return z if truncation >= 1 else z * truncation


def _styled(module: nn.Module) -> Styled:
    if not isinstance(module, Styled):
        raise RecipeError("the game 'style-sample' needs a style-based generator, such as the net 'stylegan2'")
    return module


@register("game", "style-sample")
@dataclass(frozen=True)
class StyleSample(Sample):
    """As 'sample', for style-based generators: mixes styles and offers pair 'path' = (images, styles w) from a
    fresh, smaller batch (half), with the graph from w to the images, for path-length regularisation."""

    style_mixing: float = 0.0
    path_share: float = 0.5

    def generate(self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], turn: Turn) -> Tensor:
        generator = _styled(nets["generator"])
        w = generator.mapping(z, *cond)
        if not self.style_mixing:
            return generator.synthesis(w)
        other = generator.mapping(latent(turn.draw, len(z), self.latent, self.distribution, "mix"), *cond)
        layers = generator.layers
        mixed = turn.draw.uniform("mixed", len(z), 1) < self.style_mixing
        cut = turn.draw.integers("cut", layers, len(z), 1)
        late = torch.arange(layers, device=z.device)[None] > cut
        return generator.synthesis(torch.where((mixed & late)[..., None], other[:, None], w[:, None]))

    def _pairs(
        self,
        nets: Mapping[str, nn.Module],
        turn: Turn,
        cond: Callable[[], tuple[Tensor, ...]],
        codes: Callable[[], tuple[Tensor, Tensor]],
        neighbour: Callable[[], tuple[Tensor, ...]],
        z: Callable[[], Tensor],
        fake: Callable[[], Tensor],
    ) -> dict[str, Callable[[], tuple[Tensor, ...]]]:
        def path() -> tuple[Tensor, ...]:
            generator = _styled(nets["generator"])
            n = max(1, int(turn.batch * self.path_share))
            fresh = latent(turn.draw, n, self.latent, self.distribution, "path")
            w = generator.mapping(fresh, *(c[:n] for c in cond()))
            return generator.synthesis(w), w

        return {**super()._pairs(nets, turn, cond, codes, neighbour, z, fake), "path": lazy(path)}

    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        return _styled(nets["generator"]).truncated(z, *cond, psi=truncation)

    def latents(self, draw: Draw, n: int, wiring: Wiring, truncation: float = 1.0) -> Tensor:
        """The noise as it is: styles are what truncation brings nearer to their middle."""
        return latent(draw, n, self.latent, self.distribution)
