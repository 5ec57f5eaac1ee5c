"""Where secrets are found, and how they are kept out of texts."""
