"""The alert rules of `docs/security/alerts.yml`, evaluated over what simulated nodes show in virtual time.

`promql.py` reads and evaluates the few forms of expression that the rules use, and refuses all others; `rules.py` reads
the file and follows what is pending and what fires; `scrape.py` has the nodes of a simulation scraped by the metrics of
a deployed one. `python -m tests.alerts SCENARIO` tells what fires in a scenario, and when.
"""
