"""What is installed, as somebody would who has just heard of it. None of this is for a build of the package."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:  # `path` came with pytest 7
            item.add_marker(pytest.mark.live)
