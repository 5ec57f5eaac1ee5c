"""What the daemon does for itself beside the events: keeps the store small, clears what earlier lives left, follows the
flow files, and tells its own events."""
