"""Hands and eyes: they carry out effects and report what is seen; they never decide."""
