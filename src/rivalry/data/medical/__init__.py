"""Medical images: DICOM files and series, NIfTI volumes.

For training they become pictures of the modality 'image', slice by slice (`reading`).  For changing them they are read as
volumes in their own units (`volume`) and written back with their geometry and without what tells who the patient is
(`writing`, `identity`, `profile`).
"""
