"""Tests of the client: against real nodes, and against answers that are made up."""
