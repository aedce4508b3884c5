"""Bytes to values and back, without I/O, for both ends: `lines` frames, `codec` encodes, `connection` knows who may
say what.
"""
