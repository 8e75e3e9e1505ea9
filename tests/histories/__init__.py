"""A hundred thousand drawn histories of one slot: the ledger against an oracle that shares no code with it.

    python -m tests.histories --count 100000 --jobs 2

`draw` makes a history from a seed, `oracle` says what spec/contradiction.md says of it, and `trial` has a ledger take
it in, in a drawn order with repetitions, and compares. A history that fails is cut down to what is needed to fail.
"""
