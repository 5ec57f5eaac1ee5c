"""What holds the tests themselves to order: no process outlives them, none goes on for ever, none blocks the loop."""
