"""DICOM headers without what tells who the patient is: the Basic Profile of PS3.15 Annex E, and all that is not known to be
harmless besides."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rivalry.data.medical.dicom import header_of
from rivalry.data.medical.profile import ACTIONS, CURVES, KEPT, OVERLAYS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

METHOD: Final = ("DICOM PS3.15 Annex E Basic Profile", "and all that is not known to be harmless removed")
"""In lines of at most 64 letters."""
CODE: Final = ("113100", "DCM", "Basic Application Confidentiality Profile")
NOBODY: Final = "removed"
TEXTS: Final = ("CS", "LO", "SH")
"""Kinds of harmless values in which a name could still stand: they go if it does."""


@dataclass(frozen=True)
class UidMap:
    """New UIDs for old ones: the same for the same within one map, and not to be led back without its salt, which is kept nowhere."""

    salt: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def new(self, old: str) -> str:
        """A UID of the root 2.25 (DICOM PS3.5 B.2) of 128 bits."""
        digest = hashlib.sha256(self.salt + old.encode()).digest()
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def action_of(tag: int, keyword: str, vr: str) -> str:
    """'keep', or one of the table's actions, for an element."""
    group = tag >> 16
    if group % 2 or group in CURVES or group in OVERLAYS or vr == "SQ":
        return "remove"
    if keyword in ACTIONS:
        return ACTIONS[keyword]
    return "keep" if keyword in KEPT else "remove"


def deidentified(found: Dataset, uids: UidMap) -> Dataset:
    """A new data set with what may stay of the header; pixels, sequences and private attributes are left out.

    Emptied attributes stay where files need them; PatientIdentityRemoved and the method are set.
    """
    from pydicom.dataset import Dataset as Fresh

    made, known = Fresh(), {s.casefold() for s in header_of(found).identifiers}
    for element in found:
        what = action_of(int(element.tag), element.keyword, element.VR)
        if what == "keep" and not any(s in str(element.value).casefold() for s in known if element.VR in TEXTS):
            made.add(element)
        elif what == "empty":
            made.add_new(element.tag, element.VR, None)
        elif what == "uid" and element.VM == 1:
            setattr(made, element.keyword, uids.new(str(element.value)))
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        setattr(made, keyword, None)
    made.PatientName = made.PatientID = NOBODY
    made.PatientIdentityRemoved, made.DeidentificationMethod = "YES", list(METHOD)
    code = Fresh()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = CODE
    made.DeidentificationMethodCodeSequence = [code]
    return made


def burned_in(found: Dataset) -> str:
    """A warning where pixels may hold writing, '' where there is no sign of it."""
    said = str(found.get("BurnedInAnnotation") or "").upper()
    if said == "YES":
        return "the file says that writing is burned into the pixels (BurnedInAnnotation): names in it are NOT removed"
    if said != "NO" and str(found.get("Modality") or "").upper() in ("US", "SC", "OT", "XA", "RF", "ES", "XC"):
        return "images of this kind often have writing burned into the pixels: look before you pass them on, it is NOT removed"
    return ""
