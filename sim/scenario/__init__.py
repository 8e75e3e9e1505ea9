"""Scenario files: their typed tables, reading them with every mistake told by line and key, and the plan made of them.

Nothing here simulates. `tables` is the file's shape, `reading` makes it of text, `fitting` checks that it fits
together, `plan` is what a simulation is built from.
"""
