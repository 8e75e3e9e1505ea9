"""The pure half of a node: values in, values out.

LAW: no I/O, no clock, no randomness, no async, no thread. `tests/test_tidy.py` bans the calls and names what
replaces them; import-linter holds the layers. Everything a second implementation needs is in this folder.
"""
