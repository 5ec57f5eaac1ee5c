"""The flows: found, read, watched, kept in versions and in bundles."""
