"""The postgres trigger."""
