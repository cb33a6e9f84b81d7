"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite("jit_render.testing")  # a suite's failed asserts show their values
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real input beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"real input is not here: {SHARED} is missing")
    return SHARED
