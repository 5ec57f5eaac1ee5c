"""A store that forgets at the end of the process."""
