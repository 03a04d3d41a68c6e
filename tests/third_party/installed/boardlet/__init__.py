"""A third party: a runtime, a method, a task and a reader that no file of intaglio knows."""
