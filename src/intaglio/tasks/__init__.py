"""What networks are for. Importing it fills the table of tasks."""

from intaglio.tasks.classify import CLASSIFY
from intaglio.tasks.detect.detect import DETECT
from intaglio.tasks.evaluate import Compared, SideBySide, compare, evaluate
from intaglio.tasks.judge import Judge
from intaglio.tasks.judgement import Judgement, Loss, Wish
from intaglio.tasks.segment.segment import SEGMENT
from intaglio.tasks.task import (
    TASKS,
    Agreement,
    Beside,
    Meter,
    Task,
    labelled_task_for,
    output_shapes,
    task_for,
)
from intaglio.tasks.values import VALUES

__all__ = [
    "CLASSIFY",
    "DETECT",
    "SEGMENT",
    "TASKS",
    "VALUES",
    "Agreement",
    "Beside",
    "Compared",
    "Judge",
    "Judgement",
    "Loss",
    "Meter",
    "SideBySide",
    "Task",
    "Wish",
    "compare",
    "evaluate",
    "labelled_task_for",
    "output_shapes",
    "task_for",
]
