"""What several kinds of triggers share."""
