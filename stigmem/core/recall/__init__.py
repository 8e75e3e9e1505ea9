"""Recall: which facts of a scope answer a question in words, in which order, and what of them fits a token budget.

Pure and synchronous, in steps that a caller may spread over time: words of a text (`words`, `stems`), dates that a
question names (`dates`), an inverted index (`word_index`), the scores of one question (`search`), fusion with the other
signals of the contract (`ranking`) and the choice that fits the budget (`packing`). Who may read what is decided
before: an index holds the facts of one scope, so that its statistics are those of facts that its readers may read.
"""
