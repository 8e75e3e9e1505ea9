"""Whole interactions of two or three nodes, written so that one can follow them without knowing the code."""
