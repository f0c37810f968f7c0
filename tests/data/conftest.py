"""Fixtures of the data tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path("/work/shared/data")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """No test touches the user's cache folder."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("RIVALRY_CACHE", str(folder))
    monkeypatch.delenv("RIVALRY_DATA", raising=False)
    return folder


@pytest.fixture
def shared():
    """shared("folder/file") -> its path, or a skip with a word."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"{path} is not on this machine")
        return path

    return find
