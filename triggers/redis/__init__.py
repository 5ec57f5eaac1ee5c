"""The redis trigger."""
