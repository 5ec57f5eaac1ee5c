"""The vocabulary that every room shares: values and protocols, no behaviour, no I/O."""
