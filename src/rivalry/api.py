"""What Python users call: train, load, compare, and a Run with everything one does with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rivalry import baselines
from rivalry.audit.rejecting import guard_of
from rivalry.auto import check_early, decided, find, fitted, read_for
from rivalry.data import Dataset, Modality, ReadOptions, restore
from rivalry.data import load as load_data
from rivalry.data.opening import Given
from rivalry.drawing import AS_TRAINED, Decoding, Wish, drawn, own_form, text_modality, wanted, write_walk
from rivalry.errors import DataError, RecipeError, UnknownName
from rivalry.evaluate import Judge, Looks, Scores, judge_of
from rivalry.privacy.quota import check as check_cap
from rivalry.privacy.quota import spend
from rivalry.recipe import Recipe, set_value, setting
from rivalry.run import Run as Folder
from rivalry.sampling import WALKED, Sampler, Tick, counting, filled, sampler_of, silent
from rivalry.stats import Utility
from rivalry.talking import Talker, Talking, talker_of
from rivalry.training.engine import Engine, is_main_process
from rivalry.training.session import Request, Say, reload_data, to_stderr
from rivalry.training.session import resume as resume_run
from rivalry.training.session import start as start_run

if TYPE_CHECKING:
    from rivalry.apply import Filled
    from rivalry.audit import Audit
    from rivalry.changing import Changed, Changer, Named
    from rivalry.changing.medical import ChangedVolumes
    from rivalry.experiments import Comparison
    from rivalry.exporting import Exported

__all__ = ["Run", "compare", "load", "train"]


@dataclass(frozen=True)
class Run:
    """A trained (or interrupted) run: samples, scores, reports."""

    folder: Folder

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def recipe(self) -> Recipe:
        return self.folder.recipe

    @property
    def ended(self) -> str:
        """'target', 'budget', 'diverged', 'asked', or '' while it was never ended."""
        ends = [str(e.get("why", "")) for e in self.folder.events() if e["kind"] == "end"]
        return ends[-1] if ends else ""

    @cached_property
    def modality(self) -> Modality:
        data = self.folder.settings["data"]
        return restore(data["kind"], data["state"])

    def sampler(self, which: str = "best", device: str = "auto", data: Dataset | None = None) -> Sampler:
        """Draws encoded samples from checkpoint 'best' or 'last'.  data: whose held-out pictures are changed, by runs that change
        pictures; RecipeError where they are missing."""
        engine = Engine(device)
        recipe, spec = self.folder.recipe, self.folder.spec
        nets = self.folder.networks(which, engine.device)
        if data is not None:
            return sampler_of(recipe.game, recipe.game.wiring(spec), nets, engine.device, data.to(engine.device))
        if recipe.game.changes:
            raise RecipeError(f"{self.name} changes what it is given, it makes nothing of noise; use: {recipe.game.used(self.name)}")
        return Sampler(recipe.game, recipe.game.wiring(spec), nets, engine.device, tuple(self.folder.settings["data"]["class_shares"]))

    def sample(
        self, n: int, *, seed: int = 0, label: int | str | None = None, truncation: float = 1.0, which: str = "best",
        device: str = "auto", where: str = "", balance: str = "", reject_copies: Given | None = None,
        tick: Tick = silent, say: Say = to_stderr,
    ) -> Tensor:  # fmt: skip
        """[n, ...] in the data's own form: uint8 (or uint16) pictures [n, C, H, W], points in their own units, rows of
        tables [n, columns] float64, tokens of text [n, T] (`texts` gives lines).

        where: conditions on a table's columns, or patients' own ('age>60, sex=F'); samples that do not meet them are drawn anew.
        balance: equal numbers of a column's levels ('income'), or shares ('income=0.3,0.7').  reject_copies: the training
        data; samples nearer to a training row than 5 % of held-out rows are drawn anew, and say is told how many.  tick:
        told how far it is.  RunError where the run's cap on samples does not allow n more.
        """
        sampler, wish = self.sampler(which, device), self._wish(label, truncation, where, balance, reject_copies)
        spend(self.folder, n)
        x = own_form(self.modality, drawn(self.modality, sampler, n, seed, wish, tick)[0])
        if wish.guard is not None:
            say(wish.guard.told())
        return x

    def texts(
        self, n: int, *, temperature: float = 1.0, top_p: float = 1.0, prompt: str = "", seed: int = 0, which: str = "best",
        device: str = "auto",
    ) -> list[str]:  # fmt: skip
        """n lines of generated text; see `rivalry.drawing.Decoding`.  RecipeError for runs that make none."""
        writer = text_modality(self.modality)
        sampler = Decoding(temperature, top_p, prompt).of(self.sampler(which, device), self.modality)
        spend(self.folder, n)
        return writer.texts(sampler(n, seed))

    def _wish(
        self, label: int | str | None, truncation: float, where: str, balance: str, reject_copies: Given | None
    ) -> Wish:
        guard = None
        if reject_copies is not None:
            options = ReadOptions.from_dict(self.folder.settings["data"]["options"])
            guard = guard_of(self.folder, load_data(reject_copies, options=options))
        return Wish(self._label(label), truncation, wanted(self.modality, where, balance), guard)

    def _uncounted(self, n: int, seed: int, which: str, device: str) -> Tensor:
        """As `sample`, but for measuring: nothing is handed out."""
        wish = Wish(asked=wanted(self.modality))
        return own_form(self.modality, drawn(self.modality, self.sampler(which, device), n, seed, wish)[0])

    def _drawn(self, sampler: Sampler) -> Callable[[int, int], Tensor]:
        """Encoded samples for rulers: without rows that break a constraint."""
        asked, decode = wanted(self.modality), self.modality.decode
        if not asked:
            return sampler
        return lambda n, seed: filled(sampler, lambda x: asked.group(decode(x)), (n,), seed)

    def write_samples(
        self, out: Path, n: int, *, seed: int = 0, label: int | str | None = None, truncation: float = 1.0,
        which: str = "best", device: str = "auto", where: str = "", balance: str = "", reject_copies: Given | None = None,
        tick: Tick = silent, say: Say = to_stderr, decoding: Decoding = AS_TRAINED,
    ) -> list[Path]:  # fmt: skip
        """Samples into files, by `out`'s ending: a folder of PNGs, a sheet (.png), .npz, .csv, .parquet, .txt.  See `sample`."""
        sampler = decoding.of(self.sampler(which, device), self.modality)
        wish = self._wish(label, truncation, where, balance, reject_copies)
        spend(self.folder, n)
        x, labels = drawn(self.modality, sampler, n, seed, wish, tick)
        if wish.guard is not None:
            say(wish.guard.told())
        return self.modality.write(x, out, labels, self.folder.spec.class_names)

    def changer(self, which: str = "best", device: str = "auto", perception: float = 1.0, label: int | str | None = None) -> Changer:
        """The network that changes pictures, from checkpoint 'best' or 'last'; DataError for runs that have none.  perception: from
        0, pixels alone, to 1, as trained, where a discriminator joined after training by pixels."""
        from rivalry.changing.trained import changer_of

        return changer_of(self.folder, which, Engine(device).device, perception, self._label(label))

    def apply(
        self, source: str | Path, out: str | Path, *, draws: int = 1, seed: int = 0, likely: bool = False, pool: int | None = None,
        strength: float | None = None, self_ensemble: bool = False, tile: int | None = None, quality: int | None = None,
        mask: Path | None = None, sheet: Path | None = None, overwrite: bool = False, which: str = "best", device: str = "auto",
        perception: float = 1.0, label: int | str | None = None, window: str | None = None, keep_identity: bool = False,
        tick: Tick = silent,
    ) -> Filled | Changed | ChangedVolumes | Named:  # fmt: skip
        """Runs on tables fill the missing cells of one (CSV, TSV or Parquet) by draws from the model, given what is known of
        their row, runs on records those of a folder; see `rivalry.apply.fill_table` and `rivalry.apply_records`.  Runs that change pictures change a file, or all below a folder; see
        `rivalry.changing.apply_files` and docs/apply.md; runs that learned classes name pictures into a .csv; of scans `rivalry.changing.medical` and docs/medical.md."""
        from rivalry.using import Options, apply

        options = Options(draws, seed, likely, pool, strength, self_ensemble, tile, quality, mask, sheet, overwrite, window, keep_identity, which, device)
        return apply(
            self.folder, self.modality, lambda: self.sampler(which, device), lambda: self.changer(which, device, perception, label), Path(source),
            Path(out), options, tick,
        )  # fmt: skip

    def talker(self, talking: Talking | None = None, *, which: str = "best", device: str = "auto") -> Talker:
        """Who replies to what is said, of runs on conversations: `.answer(["hello"]).text`; see `rivalry.talking`."""
        return talker_of(self.folder, self.modality, self.sampler(which, device), talking)

    def export(self, out: str | Path, *, which: str = "best", perception: float = 1.0, label: int | str | None = None) -> Exported:
        """Writes the network that changes or makes pictures as an ONNX file of any size of picture, held against the network
        in onnxruntime; perception, label: of runs that change pictures, as for `changer`.  See docs/apply.md."""
        from rivalry.using import export

        made = self.changer(which, "cpu", perception, label) if self.recipe.game.changes else self.sampler(which, "cpu")
        return export(self.folder, made, Path(out), picked=perception != 1.0 or label is not None)

    def walk(
        self, out: Path, *, seed: int = 0, label: int | str | None = None, truncation: float = 1.0, which: str = "best", device: str = "auto", say: Say = to_stderr
    ) -> list[Path]:
        """An interpolation between random latents, within one class where there are some, as a sheet (.png) or a film (.gif)."""
        sampler, picked = self.sampler(which, device), self._label(label)
        spend(self.folder, WALKED)
        if picked is None and sampler.wiring.classes:
            say(f"walking within class {self.folder.spec.class_names[0]!r}; choose another with --label")
        return write_walk(self.modality, sampler.walk(seed, label=picked or 0, truncation=truncation).cpu(), out)

    def _label(self, label: int | str | None) -> int | None:
        """A class by name or number."""
        names = self.folder.spec.class_names
        if label is None or isinstance(label, int):
            return label
        if not self.recipe.game.wiring(self.folder.spec).classes:
            raise RecipeError(f"{self.name} was trained without labels, so no class can be chosen; leave --label out")
        if label in names:
            return names.index(label)
        if label.isdecimal() and int(label) < len(names):
            return int(label)
        raise UnknownName("class", label, names)

    def data(self) -> Dataset:
        """The data the run was trained on, read again."""
        return reload_data(self.folder)

    def evaluate(
        self, n: int | None = None, *, which: str = "best", weights: Path | None = None, seed: int = 1,
        device: str = "auto", data: Dataset | None = None,
    ) -> Scores:  # fmt: skip
        """Every score that fits the data, on n fresh samples; see `rivalry.evaluate`."""
        judge = self._judge(data if data is not None else self.data(), weights, n, seed, device)
        return judge.final(self._drawn(self.sampler(which, device, data=judge.dataset)), 0)

    def beside(
        self, n: int | None = None, *, which: str = "best", weights: Path | None = None, seed: int = 1,
        device: str = "auto", data: Dataset | None = None, tick: Tick = silent,
    ) -> tuple[Scores, dict[str, Scores]]:  # fmt: skip
        """(what `evaluate` says, what others score by the same ruler, by their names): of tables what independent columns do,
        beside which a shape error says little; of changed pictures see `rivalry.rivals`.  tick: told how far it is."""
        from rivalry.rivals import rivals

        judge = self._judge(data if data is not None else self.data(), weights, n, seed, device)
        most = min(judge.looks.verdict, len(judge.dataset.train))
        sampler = counting(self.sampler(which, device, data=judge.dataset), most, tick, whole=0.9)  # then it measures
        scores = judge.final(self._drawn(sampler), 0)
        return scores, rivals(self.folder, judge, scores, which, judge.device)

    def _judge(self, data: Dataset, weights: Path | None, n: int | None, seed: int, device: str) -> Judge:
        engine = Engine(device)
        dataset = data.to(engine.device)
        own = self.folder.settings["train"]["weights"]
        chosen = weights or (Path(own) if own else None)
        looks = Looks(verdict=n, gate=min(n, 2000)) if n is not None else Looks()
        return judge_of(self.recipe, dataset, None, chosen, seed, engine.device, self.path / "private", looks)

    def utility(
        self, target: str, *, n: int | None = None, which: str = "best", seed: int = 1, device: str = "auto",
        data: Dataset | None = None,
    ) -> Utility:  # fmt: skip
        """What synthetic rows are good for: how well the column `target` of held-out rows is predicted after training on
        real rows, on n synthetic ones (as many as real by default), and on both.  See `rivalry.stats.utility`."""
        from rivalry.evaluate.tabular import kinds, names
        from rivalry.stats import utility

        dataset = data if data is not None else self.data()
        if dataset.spec.kind == "records":
            raise DataError("what records are good for is measured by survival; name a time and an event in the schema (docs/records.md)")
        called = names(dataset.spec)
        if not called:
            raise DataError("utility is measured on tables: it predicts a column from the others")
        if target not in called:
            raise UnknownName("column", target, called)
        real, held = (s.raw(torch.arange(len(s))) for s in (dataset.train, dataset.held))
        fake = self._uncounted(n or len(real), seed, which, device)
        return utility(real, fake, held, kinds(dataset.spec), called.index(target), seed)

    def study(
        self, targets: Sequence[str] = (), by: Sequence[str] = (), survival: Sequence[str] = (), *, full: bool = False,
        n: int | None = None, which: str = "best", seed: int = 1, device: str = "auto", data: Dataset | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Measures of synthetic rows of a table, or patients with the columns that are their own (n, as many as trained on by default) as plain values by section, which are
        also kept in the run's evaluation.json, for the report; none holds a row.  See docs/table-scores.md.

        targets: columns to predict.  by: columns whose groups are measured apart.  survival: 'time,event' pairs.  full: also
        all scores beside a baseline, clinical measures, and what pictures show.
        """
        from rivalry.evaluate.study import Ask, add_sections, columns_of, study
        from rivalry.evaluate.study.making import fidelity, stamped

        dataset = data if data is not None else self.data()
        columns_of(dataset)
        rows = n or len(dataset.train)
        ask = Ask(targets, by, survival, full, shown=not self.recipe.private)
        found = study(dataset, self._uncounted(rows, seed, which, device), ask, seed)
        if full:
            judge = self._judge(dataset, None, n, seed, device)
            scores = judge.final(self._drawn(self.sampler(which, device)), 0)
            found = {"fidelity": fidelity(dataset, judge, scores, seed)} | found
        step = self.folder.step(which)
        sections = {name: stamped(one, step, which, rows, seed) for name, one in found.items()}
        add_sections(self.path, sections)
        return sections

    def audit(
        self, n: int | None = None, *, which: str = "best", weights: Path | None = None, seed: int = 1,
        device: str = "auto", data: Dataset | None = None, tick: Callable[[str, float], None] = lambda what, share: None,
        shadows: int = 0, canaries: int = 0, steps: int | None = None, say: Say = lambda line: None,
    ) -> Audit:  # fmt: skip
        """Attacks on n samples and on the discriminator: do they tell training rows from held-out ones?  Writes audit.json
        and audit.md, and the closest pairs into private/; see `rivalry.audit` and docs/audit.md.

        weights: of a network to compare pictures by, trained on other pictures.  tick: told (what is done, its share).
        shadows: so many models of the recipe are trained on random halves, for a stronger attack; canaries: so many rows are
        planted in one more training, for a bound on epsilon.  steps: of each such training (the run's, 1,000 at most).  say: told how
        many of these are to come, and how long they may take.
        """
        from rivalry.audit import asked_about, audit_run

        dataset = data if data is not None else self.data()
        where = Engine(device).device
        return audit_run(
            self.folder, dataset, self._drawn(self.sampler(which, device, asked_about(self.folder, dataset))), n=n, seed=seed, weights=weights,
            device=where, tick=tick, shadows=shadows, planted=canaries, steps=steps, step=self.folder.step(which), say=say,
        )  # fmt: skip

    def resume(self, *, device: str = "auto", data: Dataset | None = None, say: Say = to_stderr) -> Run:
        """Goes on from the last checkpoint."""
        return _reported(Run(resume_run(self.folder, data, say, device)))

    def report(self) -> Path:
        """Writes report.md with curves, samples and scores; returns where."""
        from rivalry.report import write_report

        return write_report(self.folder)

    def officer_report(self, out: Path | None = None) -> Path:
        """Writes the report for a data officer, one .html (officer.html in the run's folder by default) or .md file without
        any row of the data; returns where.  It tells what `study(full=True)` and `audit()` found before."""
        from rivalry.officer import write_officer

        return write_officer(self.folder, out or self.path / "officer.html")


def load(run: str | Path, players: Mapping[str, nn.Module] | None = None) -> Run:
    """A run by name (under runs/) or path; RunError with the nearest name if there is none.  players: modules, untrained, of a run
    that was trained with one's own; copies of them take on what it learned."""
    return Run(Folder.open(run, players))


def train(
    data: Given,
    *,
    recipe: str | Recipe = "auto",
    until: str = "",
    budget: str = "",
    settings: Sequence[str] = (),
    seed: int = 0,
    run: str = "",
    start: str = "",
    overwrite: bool = False,
    device: str = "auto",
    precision: str = "",
    weights: Path | None = None,
    tensorboard: bool = True,
    players: Mapping[str, nn.Module] | None = None,
    options: ReadOptions | None = None,
    dp_epsilon: float | None = None,
    dp_delta: float | None = None,
    cap: int | None = None,
    say: Callable[[str], None] = to_stderr,
) -> Run:
    """Trains on `data` (a name, path, array, or PyTorch dataset) until the target or the budget; returns the Run.

    settings: 'batch=32' and the like, as the command line's --set.  players: one's own modules by network name
    ('generator', 'discriminator'), which are trained; see `rivalry.parts.Net` for what they are called with.
    cap: samples the run may hand out in all.  precision: 'float32', 'bfloat16' or 'auto' (what the machine is fast at); '' is
    'auto' for pictures and for rewriting text where the recipe allows it, else 'float32'.
    dp_epsilon, dp_delta: train under differential privacy (docs/privacy.md); delta is N^-1.1 of N rows if left out.
    Raises RecipeError, DataError or RunError, and leaves nothing behind, if that cannot be done.
    """
    reading, allowed = options or ReadOptions(), check_cap(cap)
    pairs = [setting(line) for line in settings]
    named = find(recipe)  # a wrong name should not have to wait for the data
    if isinstance(recipe, str) and baselines.named(recipe) is not None:
        baselines.refuse(recipe, until, budget, start, len(settings), len(players or {}))
    given = named or (Folder.open(start).recipe if start else None)
    check_early(given, pairs, until, budget)
    dataset, reading = read_for(given, data, reading, pairs)
    for note in (*dataset.notes, *dataset.defences):
        say(note)
    origin = () if named else (f"the recipe of {start}",)
    given, how = (None, ()) if given is None else fitted(given, dataset)
    chosen, why = decided(recipe, given, (*origin, *how), dataset, budget, device, dp_epsilon, dp_delta)
    for key, value in pairs:
        chosen = set_value(chosen, key, value)
    for reason in why:
        say(reason)
    request = Request(
        chosen, until, budget, seed, run, overwrite, device, precision, weights, start, players, tensorboard, why, cap=allowed
    )
    return _reported(Run(start_run(dataset, request, say, reading)))


def _reported(done: Run) -> Run:
    """The run with its report, which one process writes."""
    if is_main_process():
        done.report()
    return done


def compare(
    data: str | Path,
    recipes: Sequence[str],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    budget: str = "3m",
    name: str = "",
    options: ReadOptions | None = None,
    device: str = "auto",
    say: Say = to_stderr,
) -> Comparison:
    """Recipes over seeds on the same data at equal time; resumable under the same name."""
    from rivalry.experiments import compare_recipes

    return compare_recipes(data, recipes, seeds, budget, name, options, device, say=say)
