"""Requests and their answers: routing, authentication, and one file for each group of operations."""
