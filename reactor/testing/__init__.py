"""Shipped for everyone who writes a store, a trigger or an action: the conformance suites, a clock, faults."""
