"""Slices: what an application adds to the launcher's state, and what is checked of it before it runs.

`slice` is the base class, `values` what a state may be made of, `checking` says all that is wrong with a slice, and
`loaded` holds those of one launcher. How the reducer runs them is in `core.slices`.
"""
