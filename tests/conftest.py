"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
settings.load_profile("default")

for name in [name for name in os.environ if name.startswith("REACTOR_") and not name.startswith("REACTOR_TEST_")]:
    del os.environ[name]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
