"""Degradations: what makes of good pictures the bad ones that a network learns to mend."""

from rivalry.degrade.basic import Blur, Down, Dull, Grey, Jpeg, LowLight, Masked, Noise, Outline
from rivalry.degrade.realistic import Realistic
from rivalry.degrade.tasks import TASKS, Task, task

__all__ = [
    "TASKS",
    "Blur",
    "Down",
    "Dull",
    "Grey",
    "Jpeg",
    "LowLight",
    "Masked",
    "Noise",
    "Outline",
    "Realistic",
    "Task",
    "task",
]
