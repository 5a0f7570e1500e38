"""What each monitor has to do with one process: whether it is covered, else why not, and what becomes of it all the
same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from fallfromgrace.coverage import Covered
from fallfromgrace.docket import Case
from fallfromgrace.explanation import Relation
from fallfromgrace.insight import Story, stories
from fallfromgrace.observer import Scene
from fallfromgrace.patience import Pattern
from fallfromgrace.rules import Adjust, Item, Monitor, Signal, Target
from fallfromgrace.table import UNREADABLE, Process, ProcessId
from fallfromgrace.units import human_duration


def relation(
    covered: Covered, process: Process, above: Collection[int], scene: Scene, asked: Iterable[Case], interval: float
) -> Relation:
    """Of one monitor; `above` are the pids of the process's parents, `asked` the rules about it, and `interval` is the
    longest time from one look of the daemon to the next."""
    monitor = covered.monitor
    descent = next((each for each in covered.descents if each.process.id == process.id), None)
    if descent is None:
        reached = tuple(_reaching(covered, process, scene))
        return Relation(monitor, False, None, _why_not(covered, process, above), reached)
    own = [case for case in asked if case.covered is covered]
    found = stories(scene.engine, scene.look, scene.verdicts, own)
    told = tuple(
        _unsure(each, interval) if case.key in scene.news else each for each, case in zip(found, own, strict=True)
    )
    return Relation(monitor, True, descent.root.id.pid if descent.depth else None, stories=told)


def _unsure(story: Story, interval: float) -> Story:
    """When something was seen here is not when the daemon sees it."""
    if story.next.startswith("nothing"):
        return story
    when = f"up to {human_duration(interval)} sooner or later, for the daemon has not told of that yet"
    return story._replace(next=f"{story.next} ({when})")


def cases(scene: Scene, identity: ProcessId) -> list[Case]:
    """The rules about a process, and about all that its monitors cover."""
    return [case for case in scene.look.cases if _concerns(case, identity)]


def _concerns(case: Case, identity: ProcessId) -> bool:
    subject = case.subject.identity
    return subject == identity or (subject is None and identity in case.covered.identities)


def _why_not(covered: Covered, process: Process, above: Collection[int]) -> str:
    """The first reason why a process is not covered."""
    monitor, image = covered.monitor, process.image
    if excluded := monitor.excludes(image):
        return f"{excluded} (exclude: {monitor.exclude.pattern if monitor.exclude else ''})"
    missed = monitor.selector.misses(image)
    spared = covered.spared.get(process.id, "")
    if not missed or (spared and _is_below(covered, above)):
        return spared or "it was not there yet when others were looked at"
    children = ", and it is below none that the monitor selects" if monitor.children else ""
    return f"{_missed(missed, monitor, process)}{children}"


def _missed(key: str, monitor: Monitor, process: Process) -> str:
    selector, image = monitor.selector, process.image
    if key == "user":
        return f"its owner is not {' or '.join(user.name for user in selector.users or ())}"
    pattern, text = (selector.cmdline, image.cmdline) if key == "cmdline" else (selector.exe, image.exe)
    if text in ("", UNREADABLE) and (key == "exe" or text):
        return f"its {key} cannot be read"
    if isinstance(pattern, Pattern) and pattern.stopped(text):
        return f"the search in its {key} for {pattern.pattern} took too long"
    return f"its {key} does not match {pattern.pattern if pattern else ''}"


def _is_below(covered: Covered, above: Collection[int]) -> bool:
    return covered.monitor.children and any(identity.pid in above for identity in covered.identities)


def _reaching(covered: Covered, process: Process, scene: Scene) -> Iterator[str]:
    """The rules that do something to a tree which it is in, and are about what is above it."""
    rules = [rule for rule in covered.monitor.rules if any(map(_is_for_tree, rule.items))]
    for descent in covered.descents if rules else ():
        if any(each.process.id == process.id for each in scene.look.tree(descent)):
            yield from (
                f"it is in the tree of {descent.process.id.pid}, for which '{rule.text}' acts" for rule in rules
            )


def _is_for_tree(item: Item) -> bool:
    return isinstance(item.action, (Signal, Adjust)) and item.action.target is Target.TREE
