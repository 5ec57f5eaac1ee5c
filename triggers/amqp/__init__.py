"""The amqp trigger."""
