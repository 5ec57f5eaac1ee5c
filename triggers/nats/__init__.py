"""The nats trigger."""
