"""The error of a body that cannot be read."""

from __future__ import annotations


class BadBody(Exception):
    """The body is not what its content type says."""
