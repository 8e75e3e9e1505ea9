"""Whether the project still does what it did when `tests/data/equality.json` was recorded: scenarios and answers.

`python -m tests.equality check` compares and prints the first difference in words; `record` writes the file anew. A
step that changes behaviour on purpose records in the same commit and says so in its message; any other difference is
a bug of the step that caused it. `worlds` is the only module here that knows names inside `stigmem`.
"""
