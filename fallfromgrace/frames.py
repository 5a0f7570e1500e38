"""What was seen at one moment, kept or made up: the processes, and what they used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fallfromgrace.expression import Sample
from fallfromgrace.table import Process, ProcessId


class Frame(NamedTuple):
    """Everybody who was there, and what was measured of them and of the machine, which is None.

    `at` is seconds of the monotonic clock. The names in a sample are those of `readings.FACETS`, but for rates; what is
    not there was not measured, or could not be read.
    """

    at: float
    processes: tuple[Process, ...]
    samples: Mapping[ProcessId | None, Sample]
