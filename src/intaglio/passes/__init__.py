"""Rewritings of a graph that keep its function, and what is known of its channels."""
