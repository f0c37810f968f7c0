"""An audit in a run's folder: audit.json, audit.md, and the curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rivalry.audit.attacking import Attack, Scores
from rivalry.audit.verdict import Audit, assumptions
from rivalry.files import atomic, write_json, write_text

PLOT = "audit-roc.png"
HEADER = ("attack", "the attacker knows", "rows", "AUC", "found at 10 %", "at 1 %", "at .1 %", "epsilon at least", "p")
RATES = (0.1, 0.01, 0.001)


def table(audit: Audit) -> list[tuple[str, ...]]:
    """HEADER and a row for each attack, the strongest first, then the controls.  p is corrected for all tests."""
    order = sorted(range(len(audit.attacks)), key=lambda i: (audit.tests[i], -audit.attacks[i].auc.value))
    rows = [_row(audit.attacks[i], audit.tests[i]) for i in order]
    blind = [_row(c, p, "control: ") for c, p in zip(audit.controls, audit.control_tests, strict=True)]
    return [HEADER, *rows, *blind]


def _row(attack: Attack, p: float, before: str = "") -> tuple[str, ...]:
    auc = f"{attack.auc.value:.3f} ({attack.auc.low:.3f} to {attack.auc.high:.3f})"
    found = [attack.true_positives.get(rate) for rate in RATES]
    hits = ["" if f is None else f"{f.value:.2%} ({f.low:.2%} to {f.high:.2%})" for f in found]
    bound = "" if before else f"{attack.epsilon:.2f}"
    return (before + attack.name, attack.knows, str(attack.rows), auc, *hits, bound, f"{p:.2g}")


def memory_lines(audit: Audit) -> list[tuple[str, str, str]]:
    """(what, the samples, what held-out real rows or chance would give) of `Memory`."""
    m = audit.memory
    nearer = f"{m.nearer.value:.1%} ({m.nearer.low:.1%} to {m.nearer.high:.1%})"
    lines = list[tuple[str, str, str]]()
    if audit.spans is not None:
        s = audit.spans
        lines = [
            ("longest run of words shared with a line, mean", f"{s.train:.2f}", f"{s.held:.2f}"),
            ("longest of all", f"{s.longest}", f"{s.longest_held}"),
            ("most of it one run of a line", f"{s.near:.2%}", f"{s.near_held:.2%}"),
        ]
    return [
        ("of samples", "share", "without copying"),
        ("nearer to training than to held-out rows", nearer, f"{m.expected:.1%}"),
        ("equal to a training row", f"{m.exact:.2%}", f"{m.held_exact:.2%}"),
        ("nearer to training than 1 % of held-out rows are", f"{m.near:.2%}", "1.00%"),
        ("half as far from training as from held-out rows", f"{m.copies:.2%}", f"{m.copies_fresh:.2%}"),
        ("authentic (Alaa et al. 2022)", f"{m.authentic:.1%}", f"{m.authentic_fresh:.1%}"),
        ("C_T, least z of a cell (Meehan et al. 2020)", f"{m.copying:.1f}, {m.copying_worst:.1f}", "above -3"),
        *lines,
    ]


def risk_lines(audit: Audit) -> list[tuple[str, ...]]:
    """(risk, against training rows, against held-out rows, by guessing, what is left as risk, p), () where there are none."""
    if not audit.risks:
        return []
    rows: list[tuple[str, ...]] = [("risk", "training rows", "held-out rows", "by guessing", "risk", "p")]
    for one, p in zip(audit.risks, audit.risk_tests, strict=True):
        said = f"{one.risk.value:.3f} ({one.risk.low:.3f} to {one.risk.high:.3f})"
        shares = (f"{i.value:.1%} ({i.low:.1%} to {i.high:.1%})" for i in (one.attack, one.control, one.guess))
        rows.append((one.name, *shares, said if one.measures else f"{said}, but no better than a guess", f"{p:.2g}"))
    return rows


def canary_line(audit: Audit) -> str:
    """What the planted rows showed; '' where none were planted."""
    c = audit.canaries
    if c is None:
        return ""
    return (
        f"{c.count} canaries, each planted by the toss of a coin in one more training of {c.steps} steps: by {c.attack} "
        f"{c.right} of {c.guesses} guesses were right, so epsilon is at least {c.epsilon:.2f} at delta {c.delta:.1g} "
        "(95 %; Steinke et al. 2023)"
    )


def write(audit: Audit, scores: Sequence[Scores], folder: Path) -> Path:
    """audit.json, audit.md and plots/audit-roc.png in a run's folder; none of them holds a row.  Returns audit.md."""
    write_json(folder / "audit.json", audit.as_dict())
    plot(scores, folder / "plots" / PLOT)
    write_text(folder / "audit.md", "\n".join(_page(audit)) + "\n")
    return folder / "audit.md"


def _page(audit: Audit) -> list[str]:
    first, *others = audit.verdict()
    return [
        f"# Audit of {audit.name}",
        "",
        f"**{first[0].upper()}{first[1:]}.**",
        "",
        *(f"- {line[0].upper()}{line[1:]}." for line in others),
        f"- {audit.rows:,} training rows (members) were attacked against as many held-out rows, with {audit.samples:,} "
        f"samples (seed {audit.seed}{'' if audit.step is None else f', step {audit.step:,}'}).",
        *(f"- Not attacked: {line}." for line in audit.skipped),
        "",
        "## Attacks",
        "",
        *_markdown(table(audit)),
        "",
        "Intervals are at 95 %, each by itself; epsilon's bounds hold together. Found: members above the threshold that so "
        "many non-members pass, where there are enough of those to say. A control sees no sample and should be at .5.",
        "",
        f"![Members found against false positives](plots/{PLOT})",
        "",
        "## Memory",
        "",
        *_markdown(memory_lines(audit)),
        "",
        *_risks(audit),
        "The closest pairs are in `private/`, which shows training data and is never to be handed on.",
        "",
        "## What this takes for granted",
        "",
        *(f"- {line}" for line in assumptions(audit)),
    ]


def _risks(audit: Audit) -> list[str]:
    """Sections on risks and canaries, where there are any."""
    lines = list[str]()
    if audit.risks:
        lines += ["## Singling out, linking, inferring", "", *_markdown(risk_lines(audit)), ""]
        lines += [
            "Shares of rows for which the attack succeeded. Singling out: a question made of a sample's cells is answered by "
            "this row alone. Linking: the five samples nearest by half of the columns and by the other half have one in "
            "common. Inferring: a hidden cell is taken from the nearest sample (a number to 5 % of the ranks). Risk = "
            "(training - held-out) / (1 - held-out); what succeeds against held-out rows too is knowledge of the population.",
            "",
        ]
    if audit.canaries is not None:
        lines += ["## Canaries", "", f"{canary_line(audit)}.", ""]
    return lines


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return [head, "|" + "---|" * len(rows[0]), *body]


def curve(members: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """(false, true positive rates) [T] over all thresholds, rising, scores [M] and [N]."""
    levels = torch.cat([members, others]).unique()
    sides = [1 - torch.searchsorted(side.sort().values, levels).double() / len(side) for side in (others, members)]
    return sides[0].flip(0), sides[1].flip(0)


def plot(scores: Sequence[Scores], path: Path) -> Path:
    """Members found against false positives, both logarithmic, with chance as a dashed line."""
    from matplotlib.figure import Figure

    least = 1 / max(2, max(len(s.others) for s in scores))
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.subplots()
    for one in scores:
        false, true = curve(one.members.double().cpu(), one.others.double().cpu())
        axes.plot(false.clamp_min(least).numpy(), true.clamp_min(least).numpy(), label=one.name, linewidth=1)
    axes.plot([least, 1], [least, 1], linestyle="--", color="#94a3b8", label="chance")
    axes.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1.05))
    axes.set(xlabel="non-members taken for members", ylabel="members found")
    axes.legend(fontsize=7)
    with atomic(path) as beside:
        figure.savefig(beside, dpi=110)
    return path
