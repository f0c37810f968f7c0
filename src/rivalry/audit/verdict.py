"""What an audit found, in numbers and in plain words, with what it takes for granted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from rivalry import stats
from rivalry.audit.attacking import MODEL, WHITE_BOX, Attack
from rivalry.audit.canaries import Canaries
from rivalry.audit.lines import Spans
from rivalry.audit.memory import Memory
from rivalry.run import hidden
from rivalry.stats import Risk

ALPHA = 0.01
"""Chance of accusing a model that leaks nothing, over all tests together (Holm 1979)."""

Outcome = Literal["leaks", "nothing found", "unclear"]


class Promise(NamedTuple):
    """What training under differential privacy spent, in so many steps (0: not known)."""

    epsilon: float
    delta: float
    steps: int = 0


@dataclass(frozen=True)
class Audit:
    """What `rivalry.audit.audit` found.

    attacks: with their `tests`, p-values corrected for the number of all tests, in the same order (the least of an
    attack's own); memory_test: that of `memory`.  controls: attacks without samples, and their corrected p-values.
    rows: members attacked, and as many held-out rows; known: reference rows.  skipped: attacks that were not made, and
    why.  delta: that the bounds on epsilon are for.  risks: singling out, linking and inferring, of tables; risk_tests: their
    corrected p-values.  canaries: what planted rows showed, where there were any.
    spans: runs of words that samples of text share with training.  step: of the checkpoint that drew the samples, None if unknown.
    shared: of the held-out rows that were attacked, those that are equal to a training row.  strangers: runs whose networks it began with
    and that learned from other rows, or parted them otherwise.  own: names of modules that somebody brought along.
    """

    name: str
    data: str
    kind: str
    samples: int
    seed: int
    rows: int
    known: int
    delta: float
    attacks: tuple[Attack, ...]
    tests: tuple[float, ...]
    controls: tuple[Attack, ...]
    control_tests: tuple[float, ...]
    memory: Memory
    memory_test: float
    promise: Promise | None = None
    skipped: tuple[str, ...] = ()
    risks: tuple[Risk, ...] = ()
    risk_tests: tuple[float, ...] = ()
    canaries: Canaries | None = None
    spans: Spans | None = None
    step: int | None = None
    shared: int = 0
    strangers: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """'unclear' where rows are told apart without the model: then attacks on it mean nothing."""
        if min(self.control_tests) < ALPHA:
            return "unclear"
        return "leaks" if min(*self.tests, self.memory_test, *self.risk_tests) < ALPHA else "nothing found"

    @property
    def through_samples(self) -> bool:
        """Whether samples alone tell: an attack without the run's own networks, memorisation or a risk."""
        tests = [p for a, p in zip(self.attacks, self.tests, strict=True) if not any(own in a.knows for own in (WHITE_BOX, MODEL))]
        return min(*tests, self.memory_test, *self.risk_tests) < ALPHA

    @property
    def strongest(self) -> int:
        """The place of the attack of the smallest p-value, then of the highest AUC."""
        return min(range(len(self.attacks)), key=lambda i: (self.tests[i], -self.attacks[i].auc.value))

    @property
    def epsilon(self) -> float:
        """The largest lower bound; all of them hold together at 95 %."""
        return max(attack.epsilon for attack in self.attacks)

    def verdict(self) -> list[str]:
        """Sentences: what was found, what it does not show."""
        return [_outcome(self), *_besides(self)]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "run": self.name,
            "data": self.data,
            "kind": self.kind,
            "samples": self.samples,
            "seed": self.seed,
            "step": self.step,
            "members": self.rows,
            "non-members": self.rows,
            "held-out rows equal to training rows": self.shared,
            "began with": list(self.strangers),
            "reference rows": self.known,
            "outcome": self.outcome,
            "through samples": self.through_samples,
            "verdict": self.verdict(),
            "assumptions": assumptions(self),
            "alpha": ALPHA,
            "attacks": [_plain(a, p) for a, p in zip(self.attacks, self.tests, strict=True)],
            "controls": [_plain(a, p) for a, p in zip(self.controls, self.control_tests, strict=True)],
            "memorisation": asdict(self.memory) | {"p_corrected": self.memory_test},
            "spans": None if self.spans is None else asdict(self.spans),
            "risks": [asdict(r) | {"p corrected": p} for r, p in zip(self.risks, self.risk_tests, strict=True)],
            "canaries": None if self.canaries is None else asdict(self.canaries),
            "epsilon": {"lower bound": self.epsilon, "delta": self.delta, "confidence": 0.95},
            "promise": None if self.promise is None else self.promise._asdict(),
            "skipped": list(self.skipped),
        }


def corrected(
    attacks: Sequence[Attack], memory: Memory, risks: Sequence[Risk]
) -> tuple[tuple[float, ...], float, tuple[float, ...]]:
    """(least p-value of each attack, that of memorisation, those of the risks), by Holm over all tests."""
    raw = [p for attack in attacks for p in (attack.chance.ranking, *attack.chance.tops)]
    adjusted = stats.holm([*raw, memory.p_value, *(r.p_value for r in risks)])
    each = len(raw) // len(attacks)
    least = tuple(min(adjusted[i : i + each]) for i in range(0, len(raw), each))
    return least, adjusted[len(raw)], tuple(adjusted[len(raw) + 1 :])


def corrected_controls(controls: Sequence[Attack], backwards: Sequence[float]) -> tuple[float, ...]:
    """Two-sided p-values by Holm; backwards: of the ranking with the sides exchanged."""
    pairs = zip(controls, backwards, strict=True)
    return tuple(stats.holm([min(1.0, 2 * min(c.chance.ranking, other)) for c, other in pairs]))


def _plain(attack: Attack, p: float) -> dict[str, Any]:
    return {
        "name": attack.name,
        "attacker knows": attack.knows,
        "rows": attack.rows,
        "auc": attack.auc.value,
        "auc interval": [attack.auc.low, attack.auc.high],
        "true positives": {
            f"{rate:g}": {"value": found.value, "interval": [found.low, found.high]}
            for rate, found in attack.true_positives.items()
        },
        "epsilon at least": attack.epsilon,
        "p": [attack.chance.ranking, *attack.chance.tops],
        "p corrected": p,
    }


def _outcome(audit: Audit) -> str:
    attack = audit.attacks[audit.strongest]
    auc = f"AUC {attack.auc.value:.2f}, {attack.auc.low:.2f} to {attack.auc.high:.2f}"
    tests = _tests(audit)
    hides = f"; the run began with {hidden(audit.strangers)}" if audit.strangers else ""
    if audit.outcome == "unclear":
        at = min(range(len(audit.controls)), key=lambda i: audit.control_tests[i])
        control = audit.controls[at]
        return (
            f"unclear: training and held-out rows are told apart without the model ({control.name}: AUC "
            f"{control.auc.value:.2f}), so they are no random split of one set and an attack cannot be told from that "
            "difference; split at random, one person's rows on one side"
        )
    if audit.outcome == "nothing found":
        return (
            f"no attack here told members from non-members better than chance (strongest: {attack.name}, {auc}); "
            f"this does not prove that none could{hides}"
        )
    if min(audit.tests[audit.strongest], audit.memory_test) >= ALPHA:
        p, risk = min(zip(audit.risk_tests, audit.risks, strict=True), key=lambda pair: pair[0])
        return (
            f"leaks: {risk.name} succeeds with {risk.attack.value:.1%} of training rows and {risk.control.value:.1%} of held-out "
            f"rows (p = {p:.1g} after correction for {tests} tests)"
        )
    if audit.tests[audit.strongest] >= ALPHA:
        nearer = audit.memory.nearer
        return (
            f"leaks: {nearer.value:.0%} of the samples are nearer to a training row than to any held-out one, where "
            f"{audit.memory.expected:.0%} are expected (p = {audit.memory_test:.1g} after correction for {tests} tests)"
        )
    sure = f"p = {audit.tests[audit.strongest]:.1g} after correction for {tests} tests"
    found = _found(attack.true_positives)
    if attack.auc.low <= 0.5:
        return (
            f"leaks: {attack.name} is right too often about the rows it is surest of ({found}{sure}), though not about "
            f"most ({auc})"
        )
    return f"leaks: {attack.name} tells members from non-members ({auc}; {found}{sure})"


def _tests(audit: Audit) -> int:
    return 1 + len(audit.risks) + sum(1 + len(a.chance.tops) for a in audit.attacks)


def noticed(audit: Audit) -> float:
    """The AUC that a single attack on all rows finds with chance .8, if it is the first to pass Holm's correction."""
    error = math.sqrt((2 * audit.rows + 1) / (12 * audit.rows**2))
    quantiles = stats.normal_quantile(1 - ALPHA / _tests(audit)) + stats.normal_quantile(0.8)
    return min(1.0, 0.5 + quantiles * error)


def _found(rates: Mapping[float, stats.Interval]) -> str:
    """The hits at the fewest false positives that could be counted."""
    if not rates:
        return ""
    rate = min(rates)
    return f"{rates[rate].value:.1%} of members found at {rate:.1%} false positives; "


def _besides(audit: Audit) -> list[str]:
    found = list[str]()
    if audit.outcome == "leaks" and not audit.through_samples:
        found.append(
            f"only the run's own networks tell ({_telling(audit)}): no attack on samples alone was better than chance; hand on "
            "samples, and keep the checkpoints"
        )
    if audit.shared:
        found.append(
            f"{audit.shared:,} of the {audit.rows:,} held-out rows that were attacked are equal to a training row, as few columns or coarse ones "
            "make likely: no attack can tell these from members, so a leak of such rows would not be seen"
        )
    found.append(_bound(audit))
    if audit.canaries is not None:
        found.append(_canaries(audit, audit.canaries))
    memory = audit.memory
    if memory.exact > 0:
        found.append(
            f"{memory.exact:.2%} of the samples are equal to a training row, where chance alone would give about "
            f"{memory.held_exact:.2%}"
        )
    return found


def _telling(audit: Audit) -> str:
    """Those that are better than chance."""
    pairs = list(zip(audit.attacks, audit.tests, strict=True))
    return ", ".join(own for own in (WHITE_BOX, MODEL) if any(p < ALPHA and own in a.knows for a, p in pairs))


def _bound(audit: Audit) -> str:
    found = f"epsilon is at least {audit.epsilon:.2f} at delta {audit.delta:.1g} (95 % over all attacks)"
    if audit.promise is None:
        return found
    kept = audit.epsilon <= audit.promise.epsilon
    return f"{found}; training under differential privacy promises at most {audit.promise.epsilon:.3g}" + (
        "" if kept else ", which the attacks contradict: please report this"
    )


def _canaries(audit: Audit, canaries: Canaries) -> str:
    said = (
        f"of {canaries.count} planted rows {canaries.right} of {canaries.guesses} guesses were right: epsilon of the recipe is at "
        f"least {canaries.epsilon:.2f} at delta {canaries.delta:.1g} (95 %)"
    )
    if audit.promise is not None and canaries.steps > audit.promise.steps > 0:
        return f"{said}, after {canaries.steps} steps, more than the {audit.promise.steps} that the promised {audit.promise.epsilon:.3g} is for"
    if audit.promise is not None and canaries.epsilon > audit.promise.epsilon:
        return said + f", which contradicts the promised {audit.promise.epsilon:.3g}: please report this"
    return said


def assumptions(audit: Audit) -> list[str]:
    """What the verdict takes for granted, and what it leaves open."""
    sides = f"{audit.shared:,} held-out ones are equal to a training row" if audit.shared else "never lie on both sides"
    found = [
        "Training and held-out rows are a random split of different people. The controls would notice many departures, "
        f"not all; equal rows were attacked once, and {sides}.",
        "Rows are independent. The bound on epsilon takes them for independent trials of one training, as is usual for "
        "audits of a single run; it is a statement about this training, not about the recipe.",
        f"The attacker has {audit.samples:,} samples and, where the table says so, {audit.known:,} rows of the same kind "
        "that were not trained on, or the run's own networks, which samples do not hold. More samples can tell more.",
        "The strongest of few attacks is shown. More shadow models, or knowledge of other rows of a person, may do better. "
        "No distance to training data shows that a model is private, only that it is not.",
        f"The chance of accusing a model that leaks nothing is {ALPHA:.0%} over all tests together (Holm).",
    ]
    found.append(
        f"An AUC below about {noticed(audit):.2f} would have gone unnoticed more often than in one audit of five: fewer "
        "rows see less."
    )
    if audit.kind == "dialogue":
        found.append(
            "Of a conversation one reply was attacked, since its turns depend on one another. Samples are replies to what was said in "
            "training and in held-out conversations, every context as often as any other; only replies were compared."
        )
    if audit.strangers:
        found.append(f"The run began with {hidden(audit.strangers)}.")
    if audit.own:
        found.append(
            f"Modules of one's own ({', '.join(audit.own)}) came without knowledge of these rows: if they were trained before, held-out rows may "
            "have been among theirs, and attacks find too little."
        )
    if audit.promise is not None:
        found.append("The promised epsilon covers what the model card says it covers, and not the held-out rows.")
    return found
