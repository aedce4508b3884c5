"""Numbered lines: the recent ones in memory, and later all of them on disk. It stores bytes and knows no schema."""
