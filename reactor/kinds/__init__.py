"""Which kinds of triggers, actions and connections there are, and their reference."""
