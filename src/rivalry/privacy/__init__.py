"""Differential privacy: what it costs, what has been spent, what is refused, and noise that nobody can repeat."""

from rivalry.privacy.accounting import accountant, epsilon_of, sigma_for
from rivalry.privacy.admission import admit, agree_terms, as_asked, privatised
from rivalry.privacy.ledger import FILE, Account, AnyTerms, Ledger, Terms, read_account
from rivalry.privacy.preparation import Preparation, preparation, told
from rivalry.privacy.secure import normal
from rivalry.privacy.votes import VoteTerms, admit_votes, agree_votes, asks
from rivalry.privacy.wording import NOTES, exclusions, guarantee, headline, withheld

__all__ = [
    "FILE",
    "NOTES",
    "Account",
    "AnyTerms",
    "Ledger",
    "Preparation",
    "Terms",
    "VoteTerms",
    "accountant",
    "admit",
    "admit_votes",
    "agree_terms",
    "agree_votes",
    "as_asked",
    "asks",
    "epsilon_of",
    "exclusions",
    "guarantee",
    "headline",
    "normal",
    "preparation",
    "privatised",
    "read_account",
    "sigma_for",
    "told",
    "withheld",
]
