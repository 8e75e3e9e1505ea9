"""Every bound of `stigmem.core.limits` at its exact edge: the value passes, one more does not.

`table.py` is the list; a new constant must join it, by a test here (`@edge`) or by naming one that stands elsewhere.
"""
