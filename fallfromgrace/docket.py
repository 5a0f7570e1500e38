"""Which rules there are to judge, and for whom: it changes when processes come and go, not from look to look."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from fallfromgrace.coverage import Covered
from fallfromgrace.readings import Subject
from fallfromgrace.rules import Rule
from fallfromgrace.table import Descent, ProcessId, ProcessTable

# A rule across reloads: its monitor's name and its trigger's normal form.
RuleKey = tuple[str, str]
# A rule for one process, or for all that its monitor covers.
InstanceKey = tuple[RuleKey, ProcessId | None]


class Case(NamedTuple):
    """A rule and whom it is judged for: a process that its monitor covers, or None for all of these."""

    covered: Covered
    rule: Rule
    descent: Descent | None
    subject: Subject
    key: InstanceKey


class Docket:
    """Every rule for everybody whom it is about, in the order of the file."""

    def __init__(self, table: ProcessTable, covered: Sequence[Covered]) -> None:
        self.table = table
        self.covered = covered
        self.cases: Mapping[Subject, tuple[Case, ...]] = dict(_cases(covered))
        self._places = {subject: place for place, subject in enumerate(self.cases)}
        self._about: dict[ProcessId, list[Subject]] = {}
        for subject in self.cases:
            if subject.identity:
                self._about.setdefault(subject.identity, []).append(subject)
        self._trees: dict[ProcessId, tuple[Descent, ...]] = {}

    def about(self, identity: ProcessId) -> Sequence[Subject]:
        """All that one process is judged for."""
        return self._about.get(identity, ())

    def in_order(self, subjects: Collection[Subject]) -> list[Subject]:
        """These, and what else the same processes are judged for, in the order of the file.

        It is done together because of several signals to a process only the strongest is sent.
        """
        together = {subject for subject in subjects if subject in self.cases}
        for subject in subjects:
            if subject.identity:
                together.update(self.about(subject.identity))
        return sorted(together, key=self._places.__getitem__)

    def tree(self, top: Descent) -> tuple[Descent, ...]:
        """A process that is covered and all that lives below it, itself first."""
        identity = top.process.id
        if identity not in self._trees:
            # A table that is stale somewhere may have the top below itself.
            found = self.table.descendants([top.process])
            below = (each for each in found if each.process.alive and each.process.id != identity)
            placed = (each._replace(root=top.root, depth=top.depth + each.depth) for each in below)
            self._trees[identity] = (top, *placed)
        return self._trees[identity]

    def news(self, before: Docket) -> Iterator[Subject]:
        """Those for whom something is not as it was before: somebody came, went, or runs something else."""
        for subject, cases in self.cases.items():
            known = before.cases.get(subject)
            if known is None or self._seen(cases) != before._seen(known):
                yield subject

    def _seen(self, cases: Sequence[Case]) -> tuple[object, ...]:
        """What rules see of a subject beside numbers: what it runs, and the others where they look at these too."""
        descent = cases[0].descent
        image = descent.process.image if descent else None
        tree = descent and any(case.rule.sees_tree for case in cases)
        below = [each.process.id for each in self.tree(descent)] if descent and tree else ()
        return image, below, cases[0].covered.identities if any(case.rule.sees_group for case in cases) else ()


def _cases(covered: Sequence[Covered]) -> Iterator[tuple[Subject, tuple[Case, ...]]]:
    """By subject, which has at least one case."""
    for each in covered:
        whose = each.monitor.name
        own = [(rule, (whose, rule.key)) for rule in each.monitor.rules if not rule.shared]
        for descent in each.descents if own else ():
            subject = Subject(whose, descent.process.id)
            yield subject, tuple(Case(each, rule, descent, subject, (key, descent.process.id)) for rule, key in own)
        subject = Subject(whose, None)
        if shared := [Case(each, r, None, subject, ((whose, r.key), None)) for r in each.monitor.rules if r.shared]:
            yield subject, tuple(shared)
