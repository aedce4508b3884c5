"""The machine: one pure, deterministic reducer over one canonical state. No clock, no entropy, no I/O, no logging."""
