"""Tests of the interpreters."""
