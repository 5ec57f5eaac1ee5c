"""Schema changes, forward only: `NNNN_name.sql`, applied in order. A file newer than the executable is refused."""
