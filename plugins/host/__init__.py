"""Plugins: programs in any language that bring triggers and actions, each in a process of its own."""
