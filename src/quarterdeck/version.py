"""The version of this release, and nothing else: the build reads it from here, and so does everything at run time.

Any module may import this one; it imports none.
"""

__version__ = "0.1.0"
