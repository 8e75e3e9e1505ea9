"""The suite: every scenario of a folder, run with several seeds, and one table of what became of them.

entries     what a folder holds: scenarios, their variants, and what `suite.toml` says is tried elsewhere or missing
running     how many seeds each gets, and their runs in a pool of workers
named_tests tests on real nodes, for what the simulated world cannot say
results     what the runs of one row come to
table       the table on a terminal, and as Markdown and HTML
writing     suite.json and junit.xml
session     all of it in order; `stigmem-sim suite`
"""
