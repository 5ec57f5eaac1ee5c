"""The http trigger."""
