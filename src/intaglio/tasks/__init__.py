"""What networks are for. Importing it fills the table of tasks."""

from intaglio.tasks.classify import CLASSIFY
from intaglio.tasks.evaluate import Compared, compare, evaluate
from intaglio.tasks.judge import Judge, Verdict
from intaglio.tasks.task import (
    TASKS,
    Agreement,
    Meter,
    SideBySide,
    Task,
    labelled_task_for,
    output_shapes,
    task_for,
)
from intaglio.tasks.values import VALUES

__all__ = [
    "CLASSIFY",
    "TASKS",
    "VALUES",
    "Agreement",
    "Compared",
    "Judge",
    "Meter",
    "SideBySide",
    "Task",
    "Verdict",
    "compare",
    "evaluate",
    "labelled_task_for",
    "output_shapes",
    "task_for",
]
