"""Settings for every test."""

from __future__ import annotations

from hypothesis import settings

# A test's verdict depends on the code alone: the same examples each time, and no limit on how long one takes.
settings.register_profile("meshsim", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("meshsim")
