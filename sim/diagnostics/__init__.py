"""Words for mistakes: errors that name a key, suggestions of near names, and the lines of keys in TOML texts.

Used by everything that reads what a person wrote; knows no scenario table and no kind.
"""
