"""Outgoing HTTP, for actions and connections."""
