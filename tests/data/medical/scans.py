"""DICOM series and NIfTI volumes made by seed, with everything in their headers that must not get out."""

import io

import numpy as np

SECRETS = {
    "PatientName": "Doe^Jane^Quintessa",
    "PatientID": "HOSP-99817",
    "PatientBirthDate": "19610317",
    "OtherPatientIDs": "ALT-55120",
    "PatientAddress": "12 Willow Lane, Springfield",
    "InstitutionName": "St. Elsewhere Hospital",
    "InstitutionAddress": "1 Elsewhere Road",
    "ReferringPhysicianName": "House^Gregory",
    "PerformingPhysicianName": "Wilson^James",
    "OperatorsName": "Chase^Robert",
    "AccessionNumber": "ACC778899",
    "StudyID": "STUDY4711",
    "StudyDate": "20190403",
    "SeriesDate": "20190404",
    "StudyTime": "101112.345",
    "StudyDescription": "Head of Jane Doe",
    "SeriesDescription": "axial for Dr House",
    "StationName": "CTSCANNER07",
    "DeviceSerialNumber": "SN-0042-17",
    "ProtocolName": "ElsewhereHead",
    "PatientComments": "daughter of the mayor",
    "ImageComments": "call 555-1234",
    "RequestedProcedureDescription": "rule out Lupus",
    "AdditionalPatientHistory": "seen at Princeton",
    "TimezoneOffsetFromUTC": "+0130",
}


def head(size=32, seed=0):
    """[size, size, size] of CT numbers: air, a skull, a brain with a blob in it."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[:size, :size, :size] * 2 / (size - 1) - 1
    a, b, c = rng.uniform(0.75, 0.95, 3)
    radius = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    values = np.where(radius < 1, 1000.0, -1000.0)
    values = np.where(radius < 0.88, 35.0, values)
    cx, cy, cz = rng.uniform(-0.4, 0.4, 3)
    values = np.where((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < 0.04, 80.0, values)
    return np.clip(np.round(values + rng.normal(0, 8, values.shape)), -1024, 3071).astype(np.int16)


def dataset(pixels, *, patient="P1", modality="CT", series="", number=1, slope=1, intercept=-1024, spacing=0.7, thickness=2.5, **tags):
    """A pydicom data set of one slice [h, w] (or frames [n, h, w], or RGB [h, w, 3] uint8) of stored numbers."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import (
        CTImageStorage,
        ExplicitVRLittleEndian,
        MRImageStorage,
        SecondaryCaptureImageStorage,
        generate_uid,
    )

    kind = {"CT": CTImageStorage, "MR": MRImageStorage}.get(modality, SecondaryCaptureImageStorage)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = kind
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[patient, series, str(number)])
    made.StudyInstanceUID = generate_uid(entropy_srcs=[patient])
    made.SeriesInstanceUID = generate_uid(entropy_srcs=[patient, series, "series"])
    made.FrameOfReferenceUID = generate_uid(entropy_srcs=[patient, "frame"])
    made.Modality, made.PatientID, made.PatientName = modality, patient, f"Name^{patient}"
    made.InstanceNumber = number
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient = [-10.5, -20.25, 2.5 * number]
    made.PixelSpacing, made.SliceThickness = [spacing, spacing], thickness
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    made.SamplesPerPixel, made.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        made.PlanarConfiguration = 0
    if pixels.ndim == 3 and not colour:
        made.NumberOfFrames = len(pixels)
    made.Rows, made.Columns = pixels.shape[:2] if colour or pixels.ndim == 2 else pixels.shape[1:]
    made.BitsAllocated = made.BitsStored = pixels.dtype.itemsize * 8
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    if not colour:
        made.RescaleSlope, made.RescaleIntercept = slope, intercept
    made.PixelData = np.ascontiguousarray(pixels).tobytes()
    for k, v in tags.items():
        setattr(made, k, v)
    return made


def as_bytes(made):
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def save(made, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_bytes(made))
    return path


def ct_series(folder, patient="P1", seed=0, size=32, ending=".dcm", **tags):
    """A series of the head's slices as files; stored with an intercept of -1024.  Returns the CT numbers [size, size, size]."""
    values = head(size, seed)
    for i, frame in enumerate(values):
        stored = (frame.astype(np.int32) + 1024).astype(np.uint16)
        save(dataset(stored, patient=patient, number=i + 1, **tags), folder / f"{seed:02d}-{i:03d}{ending}")
    return values


def nifti(values, path, affine=None, **header):
    """values [x, y, z] as a file."""
    import nibabel as nib

    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, np.eye(4) if affine is None else affine)
    for k, v in header.items():
        image.header[k] = v
    nib.save(image, path)
    return path


def packaged(name):
    """The path of a file in pydicom's wheel."""
    from pydicom.data import get_testdata_file

    return get_testdata_file(name, download=False)
