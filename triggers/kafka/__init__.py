"""The kafka trigger."""
