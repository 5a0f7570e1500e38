"""Python code that is not loaded, but will be needed: kept as it is at the start, for an upgrade may replace the files.

A daemon whose next reload imported half of another version would read its configuration as nobody has ever tested. It
takes 0.7 MB of the kernel's memory, in a file without a name, and none of ours.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator

from fallfromgrace import children
from fallfromgrace.exits import Failure

# Who gathers reads sixty files; a disk that does not answer must not hold us up for long.
LONGEST_SECONDS = 5.0
_NAME = "fall-from-conf"
# Is imported whole, from wherever it is: a part of it is no Python.
_LEFT = "psutil"


class Provisions:
    """An archive of modules, from which they are imported as soon as they are gathered."""

    def __init__(self) -> None:
        self._fd = -1

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What children that import must not close."""
        return (self._fd,) if self._fd >= 0 else ()

    def gather(self, load: Callable[[], None], seconds: float = LONGEST_SECONDS) -> None:
        """Keep what `load` would import. Raises Failure; then it is imported from wherever it is, as ever."""
        try:
            fd = os.memfd_create("fall-from-grace")
        except OSError as error:
            raise Failure(error.strerror) from error
        try:
            _have_filled(fd, load, seconds)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        _look_first_in(f"/proc/self/fd/{fd}")

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            _look_no_more_in(f"/proc/self/fd/{self._fd}")
            os.close(self._fd)
            self._fd = -1


def _have_filled(fd: int, load: Callable[[], None], seconds: float) -> None:
    """Have a child do it: what it loads, and what it packs it with, would stay in us for good."""
    try:
        ending, ended = os.pipe()
    except OSError as error:
        raise Failure(error.strerror) from error
    try:
        pid = children.fork(lambda: _fill(fd, load), keep=(fd, ended), name=_NAME)
    except OSError as error:
        os.close(ending)
        raise Failure(error.strerror) from error
    finally:
        os.close(ended)
    try:
        poll = select.poll()
        poll.register(ending, select.POLLHUP)
        if not poll.poll(seconds * 1000):
            children.end(pid)
            raise Failure(f"it is not read after {seconds:g} s")
    finally:
        os.close(ending)
    if os.waitpid(pid, 0)[1]:
        raise Failure("it cannot be read")


def _look_first_in(archive: str) -> None:
    """A package that is loaded has its own places for what is in it. The descriptor may have been another's before."""
    _forget(archive)
    sys.path.insert(0, archive)
    for name, places in _packages():
        places.insert(0, f"{archive}/{name.replace('.', '/')}")


def _forget(archive: str) -> None:
    """What importlib knows of it. From Python 3.13 on its own way loads a megabyte for that, and takes descriptors."""
    for place, finder in list(sys.path_importer_cache.items()):
        if place.startswith(archive):
            if finder is not None and hasattr(finder, "invalidate_caches"):
                finder.invalidate_caches()
            del sys.path_importer_cache[place]


def _look_no_more_in(archive: str) -> None:
    for places in (sys.path, *(places for _, places in _packages())):
        places[:] = [place for place in places if not place.startswith(archive)]


def _packages() -> Iterator[tuple[str, list[str]]]:
    for name, module in list(sys.modules.items()):
        if isinstance(places := getattr(module, "__path__", None), list):
            yield name, places


# --- in the child ---


def _no_code(name: str) -> None:
    """The code of what has none that can be kept."""


def _fill(fd: int, load: Callable[[], None]) -> None:
    before = set(sys.modules)
    load()
    needed = [name for name in sys.modules if name not in before and name.partition(".")[0] != _LEFT]
    from zipfile import ZIP_DEFLATED, ZipFile

    with open(fd, "wb", closefd=False) as file, ZipFile(file, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        for path, code in _code(needed):
            archive.writestr(path, code)


def _code(names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Modules that are Python, as files of an archive; the others belong to the interpreter, or are not needed."""
    import marshal
    from importlib.util import MAGIC_NUMBER

    for name in names:
        spec = sys.modules[name].__spec__
        if spec and (code := getattr(spec.loader, "get_code", _no_code)(name)):
            path = name.replace(".", "/") + ("/__init__" if spec.submodule_search_locations is not None else "")
            yield f"{path}.pyc", MAGIC_NUMBER + bytes(12) + marshal.dumps(code)
