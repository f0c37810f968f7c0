"""What a run's guarantee says, in words for a report, and what it does not say."""

from __future__ import annotations

from collections.abc import Sequence

from rivalry.privacy.counts import CountTerms
from rivalry.privacy.ledger import Account, AnyTerms
from rivalry.privacy.preparation import UNKNOWN, Preparation, told
from rivalry.privacy.votes import VoteTerms

NOTES = "notes.txt"
"""In the run's private folder: what was noted while the rows of a private run were read."""


def withheld(notes: Sequence[str], defences: Sequence[str]) -> tuple[list[str], list[str]]:
    """(notes, defences) as a run under differential privacy hands them over: exact counts of rows are no part of a guarantee, so none
    stands there.  Of a defence its flag is left, of the notes where they are."""
    kept = f"what was noted while reading (counts of rows, which no guarantee covers) is left out here, and kept in private/{NOTES}"
    return ([kept] if notes or defences else []), list(dict.fromkeys(line.split(": ", 1)[0] for line in defences))


def headline(terms: AnyTerms, account: Account) -> str:
    """'(2.98, 1e-05)-differential privacy ...', a clause for the end of a training."""
    return (
        f"differential privacy of training: epsilon {account.epsilon:.4g} at delta {terms.delta:.3g} "
        f"(at most {terms.epsilon:g})"
    )


def guarantee(terms: AnyTerms, account: Account, columns: Preparation = UNKNOWN) -> list[str]:
    """What is promised, by which mechanism, under which assumptions."""
    unit = columns.unit
    if isinstance(terms, VoteTerms):
        return [*_by_votes(terms, account), *_covered(columns)]
    if isinstance(terms, CountTerms):
        return [*_by_counts(terms, account, columns), *_covered(columns)]
    whole = "Preparation and training together are" if terms.before else "Training is"
    paid = (
        f"Preparation: names of levels, single values, bounds, quantiles and shares of the columns it covers were measured once with normal "
        f"noise, {terms.before:.4g} times how far a row moves them all; a name that one row alone has shows with chance {terms.names_delta:.2g}, "
        "which is part of delta."
    )
    return [
        f"{whole} (epsilon, delta)-differentially private with epsilon = {account.epsilon:.4g}, delta = "
        f"{terms.delta:.3g}: for two training sets that differ by one {unit}, there in one and missing in the other.",
        "It covers the networks at every step, checkpoints and training curves, and samples as the networks give them. "
        + (
            "Turned into the data's own form, samples hold nothing more of the rows."
            if columns.whole
            else "Turned into the data's own form, samples also hold what preparation took from the rows, which it does not cover: see below."
        ),
        *_covered(columns),
        *([paid] if terms.before else []),
        f"Mechanism: the discriminator's gradient of each (real {unit}, fake, draws) is cut to norm C = {terms.clip:g} and "
        f"summed, and normal noise of standard deviation sigma C, sigma = {terms.sigma:.4g}, is added in every "
        f"coordinate; the sum is divided by the expected batch, {terms.batch}. The generator learns from the "
        "discriminator only.",
        f"Sampling: Poisson, each of {terms.rows:,} {unit}s with chance q = {terms.rate:.4g} in every turn; "
        f"{account.turns} of {terms.turns} planned turns are charged, those lost in crashes included.",
        f"Accountant: {account.accountant}.",
        "Noise and batches come from the operating system's secure source and were not kept.",
    ]


def _by_counts(terms: CountTerms, account: Account, columns: Preparation) -> list[str]:
    whole = "Preparation of the columns and counting together are" if terms.before else "Counting is"
    return [
        f"{whole} (epsilon, delta)-differentially private with epsilon = {account.epsilon:.4g}, delta = {terms.delta:.3g}: for two training "
        "sets that differ by one row, there in one and missing in the other.",
        "It covers what is kept of the counts, and everything drawn from it"
        + ("." if columns.whole else ", but for what preparation took from the rows: see below."),
        f"Mechanism: counts of single columns and of pairs with normal noise, pairs chosen by the exponential mechanism: {terms.rho:.4g}-zCDP "
        f"in {terms.rounds} equal parts (Bun & Steinke 2016), turned into epsilon by Canonne, Kamath & Steinke 2020.",
        "Noise and choices come from the operating system's secure source and were not kept.",
    ]


def _covered(columns: Preparation) -> list[str]:
    found = []
    if columns.declared:
        found.append(f"Declared public in the schema, and taken from no row: {', '.join(columns.declared)}.")
    if columns.paid:
        found.append(f"Measured under differential privacy, at a cost that epsilon includes: {', '.join(columns.paid)}.")
    return found


def _by_votes(terms: VoteTerms, account: Account) -> list[str]:
    return [
        f"Training is (epsilon, delta)-differentially private with epsilon = {account.epsilon:.4g}, delta = "
        f"{terms.delta:.3g}: for two training sets of the same rows in the same order but for one, which holds something "
        "else.",
        "It covers the generator and the student at every step, their checkpoints, training curves, and samples as the "
        "generator gives them, before they are turned into the data's own form (see below). It does not cover the teachers, who know raw rows: they are kept in `private/`, which is never "
        "to be handed on.",
        f"Mechanism: {terms.teachers} teachers, each with rows of its own (row i belongs to teacher i modulo "
        f"{terms.teachers}), vote on generated rows; what leaves them is whether the count of 'real', plus Laplace noise of "
        f"scale {terms.scale:.4g}, is a majority. One row moves a count by 1 at most. The noise turns a unanimous vote over "
        f"with chance {terms.turned_over:.2f}.",
        f"Votes: {terms.each} in each of {account.turns} of {terms.turns} planned turns are charged, those lost in crashes "
        "included, by a bound that does not look at the data.",
        f"Accountant: {account.accountant}.",
        "Noise comes from the operating system's secure source and was not kept.",
    ]


def exclusions(terms: AnyTerms, columns: Preparation = UNKNOWN) -> list[str]:
    """What the guarantee does not cover."""
    unit = columns.unit
    persons = "a patient with all visits. Someone who is listed under k keys" if unit == "patient" else f"a {unit}. Someone with k {unit}s"
    found = [
        told(columns, "**Preparation**: "),
        "**Measuring**: scores, their floors and the counts beside them, in the evaluation and the audit too, are taken on raw held-out and "
        "training rows, without noise; held-out rows themselves are not protected at all.",
        "**Choosing**: a checkpoint, a run or settings chosen by such scores tell of those rows. Samples come from the "
        "last checkpoint; none is kept for its score.",
        "**Several runs** on the same rows, resumed copies of a run's folder included, add up.",
        f"**The number of {unit}s** ({terms.rows:,}), and of those held back, is taken for public, and so are settings, names of columns and the "
        "data's path in `run.toml`. Other counts of rows are not there.",
        "**The fingerprint**, a hash of all rows in `run.toml` and beside scores, confirms a guess of the rows to whoever knows all others.",
        f"**Persons**: the unit is {persons} has about k times the epsilon, and a larger delta.",
        "**Floating point and timing**: the proof is about real numbers, and about nobody with a stop-watch.",
        "`private/` in the run folder shows raw rows and is never to be handed on.",
    ]
    if terms.delta * terms.rows >= 1:
        found.insert(0, f"**delta {terms.delta:.3g} is no less than one over the number of rows**: too large to mean much.")
    return found
