"""Settings for every test."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

# Tests are about the sources, and put other functions in the place of some; test_compiled.py asks for a build.
os.environ["MESHSIM_PURE"] = "1"

# A test's verdict depends on the code alone: the same examples each time, and no limit on how long one takes.
settings.register_profile("meshsim", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("meshsim")

# All that is made until the tests are collected stays; looking through it for cycles, again and again, took a sixth of
# the time of all tests.
gc.disable()


def pytest_collection_finish() -> None:
    """From now on cycles are looked for, but seldom, and not among what stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests that take minutes begin first: at the end all but one process would wait for them."""
    items.sort(key=lambda item: item.path.name != "test_validation.py")
