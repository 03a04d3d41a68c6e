"""Tests of the command line, each command called as the process would call it."""
