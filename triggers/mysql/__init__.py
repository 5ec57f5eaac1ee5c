"""The mysql trigger."""
