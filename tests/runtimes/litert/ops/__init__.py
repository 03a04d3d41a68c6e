"""Tests of the integer interpreter, op by op, against the runtime itself."""
