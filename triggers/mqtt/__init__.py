"""The mqtt trigger."""
