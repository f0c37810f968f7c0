"""What a trained run is used for on files: filling tables, changing pictures, being shipped.  The run's kind decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from rivalry.apply import POOL, Filled, fill_table
from rivalry.apply_records import fill_records
from rivalry.changing import Changed, Changer, Named, Ways, apply_files, name_files
from rivalry.changing.medical import ChangedVolumes, apply_scans, told_of
from rivalry.data import ImageModality, Modality, restore
from rivalry.data.medical.volume import holds_scans
from rivalry.data.records import RecordModality
from rivalry.data.table import TableModality
from rivalry.errors import RecipeError, RunError
from rivalry.exporting import Exported, export_changer, export_generator
from rivalry.games.restyle import Restyling
from rivalry.privacy.quota import spend
from rivalry.run import Run
from rivalry.sampling import Sampler, Tick
from rivalry.styling import needed
from rivalry.training.engine import Engine, keep_freed_memory


@dataclass(frozen=True)
class Options:
    """How files are changed.  draws, seed: of all runs that draw.  which: the checkpoint; device: where it works.  likely, pool: of tables (see `rivalry.apply.fill_table`).
    The others are of pictures (see `rivalry.changing.Ways` and `rivalry.changing.apply_files`).  None: as usual."""

    draws: int = 1
    seed: int = 0
    likely: bool = False
    pool: int | None = None
    strength: float | None = None
    self_ensemble: bool = False
    tile: int | None = None
    quality: int | None = None
    mask: Path | None = None
    sheet: Path | None = None
    overwrite: bool = False
    window: str | None = None
    keep_identity: bool = False
    which: str = "best"
    device: str = "auto"

    def check_for_tables(self, run: str) -> None:
        """RecipeError naming an option that tables have no use for."""
        given = {
            "--strength": self.strength, "--self-ensemble": self.self_ensemble, "--tile": self.tile, "--quality": self.quality,
            "--mask": self.mask, "--sheet": self.sheet, "--overwrite": self.overwrite, **self._of_scans(),
        }  # fmt: skip
        _refuse(given, f"is for pictures, and {run} fills tables")

    def check_for_naming(self, run: str) -> None:
        """RecipeError naming an option that has no use where pictures are only named."""
        given = {
            "--strength": self.strength, "--self-ensemble": self.self_ensemble, "--tile": self.tile, "--quality": self.quality, "--mask": self.mask,
            "--sheet": self.sheet, "--draws": self.draws if self.draws != 1 else None, "--likely": self.likely, "--pool": self.pool, **self._of_scans(),
        }  # fmt: skip
        _refuse(given, f"has no use where {run} names pictures and changes none (OUT ends in .csv)")

    def check_for_pictures(self, run: str) -> None:
        """RecipeError naming an option that pictures have no use for."""
        _refuse({"--likely": self.likely, "--pool": self.pool}, f"is for tables, and {run} changes pictures")

    def check_for_scans(self, source: Path) -> None:
        """RecipeError naming an option that scans have no use for."""
        given = {"--quality": self.quality, "--mask": self.mask, "--sheet": self.sheet, "--overwrite": self.overwrite}
        _refuse(given, f"is for picture files, and {source} holds scans")

    def check_for_files(self, source: Path) -> None:
        """RecipeError naming an option that is for scans only."""
        _refuse(self._of_scans(), f"is for scans (DICOM, NIfTI), and {source} holds pictures")

    def _of_scans(self) -> dict[str, object]:
        return {"--window": self.window, "--keep-identity": self.keep_identity}

    def ways(self) -> Ways:
        usual = Ways()
        return Ways(
            usual.strength if self.strength is None else self.strength, self.self_ensemble, self.tile, self.draws, self.seed,
            usual.quality if self.quality is None else self.quality,
        )  # fmt: skip


def _refuse(given: Mapping[str, object], why: str) -> None:
    for name, value in given.items():
        if value is not None and value is not False:
            raise RecipeError(f"{name} {why}; leave it out")


def apply(
    run: Run, modality: Modality, sampler: Callable[[], Sampler], changer: Callable[[], Changer], source: Path, out: Path,
    options: Options, tick: Tick,
) -> Filled | Changed | ChangedVolumes | Named:  # fmt: skip
    """Fills missing cells of a table or of records, changes pictures, or names them (into a .csv), by what the run was trained on."""
    if isinstance(run.recipe.game, Restyling):
        raise needed(run)
    if isinstance(modality, ImageModality) and out.suffix.lower() == ".csv":
        options.check_for_naming(run.name)
        return name_files(run, modality, source, out, options.which, Engine(options.device).device, options.overwrite, tick)
    if not isinstance(modality, TableModality | RecordModality):
        network = changer()
        keep_freed_memory()
        options.check_for_pictures(run.name)
        if isinstance(modality, ImageModality) and holds_scans(source):
            options.check_for_scans(source)
            return apply_scans(
                network, modality, source, out, options.ways(), window=options.window, keep_identity=options.keep_identity, tick=tick
            )
        options.check_for_files(source)
        return apply_files(
            network, source, out, options.ways(), mask=options.mask, sheet=options.sheet, overwrite=options.overwrite, tick=tick
        )
    options.check_for_tables(run.name)
    draw = sampler()

    def counted(n: int, seed: int) -> Tensor:
        spend(run, n)
        return draw(n, seed)

    if isinstance(modality, RecordModality):
        return fill_records(
            modality, counted, source, out, draws=options.draws, likely=options.likely, pool=POOL if options.pool is None else options.pool,
            seed=options.seed, tick=tick,
        )  # fmt: skip
    return fill_table(
        modality, counted, source, out, draws=options.draws, likely=options.likely, pool=POOL if options.pool is None else options.pool,
        seed=options.seed, tick=tick,
    )  # fmt: skip


def export(run: Run, made: Sampler | Changer, out: Path, picked: bool = False) -> Exported:
    """Writes the run's network as ONNX.  picked: among the pictures that it could make of one, which generators do not offer.
    RunError for generators of runs that have a cap on samples: a file has none."""
    if isinstance(made, Changer):
        data = run.settings["data"]
        modality = restore(data["kind"], data["state"])
        return export_changer(made, out, run.name, told_of(made, modality) if isinstance(modality, ImageModality) else {})
    if picked:
        raise RecipeError(f"--perception and --label are for runs that change pictures, and {run.name} makes them of noise; leave them out")
    cap = int(run.settings["train"].get("cap", 0))
    if cap:
        raise RunError(f"{run.name} may hand out {cap:,} samples in all, and an exported network would hand out any number; train one without --cap")
    return export_generator(made, run.spec, out, run.name)
