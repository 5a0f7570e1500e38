"""The rules of the house that a reader cannot see in any one module."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "fallfromgrace"
MODULES = {
    path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", "."): path
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py"
}

# A module may import what stands to the left of it; those of one step may import each other downwards only.
LAYERS = [
    {"errors", "exits", "records", "units", "intervals", "history", "backtracking", "forms"},
    {"table", "expression"},
    {"rules", "dimensions"},
    {"lexer", "grammar", "lifecycle", "coverage", "protection", "readings", "verdict", "frames"}
    | {"recorded", "recorder"},
    {"docket", "agenda", "headroom"},
    {"looks", "targets", "memory"},
    {"adoption", "arbitration", "arming", "state", "engine", "ledger", "timers"}
    | {"outlook", "changes", "foresight", "insight"}
    | {"picture", "pen", "fitting", "portrayal", "screen"},
    {"trust", "files", "textfile", "yamlfaults", "fragments", "entries", "monitors", "config"}
    | {"series", "expectation", "casting", "scenario", "staging", "comparison", "excuses"}
    | {"procfs", "connector", "events", "roster", "kept", "rollups", "measures", "meters", "turns", "shortage", "usage"}
    | {"reserve"}
    | {"privileges", "pressure", "patience", "recording"}
    | {"source", "linux", "reference", "world", "signalling", "adjusting", "kinship", "dispositions"}
    | {"errand", "errands", "cmdlines", "glimpses", "deferral"}
    | {"logs", "values", "spawn", "notify", "actions", "report", "children"}
    | {"terminal", "progress", "columns", "canvas"},
    {"loop", "orders", "arguments", "readiness", "reading", "provisions", "daemonize", "pidfile", "systemd"}
    | {"statefile", "keeper", "acting", "sweeping", "simulation", "reloading"}
    | {"published", "exposition", "tidings"}
    | {"lint", "lint_commands", "lint_never", "lint_patterns", "lint_samples"},
    {"observer", "explanation", "relations", "unloaded"} | {"timeline", "curves", "plot"},
    {"resident", "commands.check", "commands.match", "commands.run"}
    | {
        "commands.explain",
        "commands.metrics",
        "commands.record",
        "commands.replay",
        "commands.status",
        "commands.test",
        "commands.top",
    },
    {"dispatch"},
    {"cli"},
]
PURE = set().union(*LAYERS[:7]) - {"exits", "backtracking"} | {"roster", "turns", "world", "sweeping", "simulation"}
PURE |= {"trust", "textfile", "yamlfaults", "entries", "lint_patterns", "lint_samples"}
PURE |= {"series", "expectation", "casting", "scenario", "staging", "comparison", "excuses", "exposition"}
PURE |= {"timeline", "curves", "tidings"}
IMPURE = {
    "os",
    "pathlib",
    "pwd",
    "time",
    "datetime",
    "signal",
    "subprocess",
    "logging",
    "threading",
    "socket",
    "psutil",
}
ONLY_IN = {
    "ply": {"grammar", "lexer"},
    "yaml": {"fragments"},
    "psutil": {"meters", "reference"},
    "daemon": {"daemonize"},
    "prometheus_client": {"exposition"},
    "matplotlib": {"plot"},
    "rich": {"canvas"},
    "logging": set(),
    "syslog": set(),
}
NEVER = {("engine", "actions"), ("engine", "source"), ("engine", "config"), ("actions", "engine")}


def finder(find):
    """What is found in a file, which is read once, as a set."""
    return functools.cache(lambda path: frozenset(find(ast.walk(ast.parse(path.read_text())))))


def everywhere(found):
    """The same in every module, with the module's name."""
    return {(short(name), each) for name, path in MODULES.items() for each in found(path)}


@finder
def imports(nodes):
    """Every module that a file imports, also inside functions, ours by their name within the package."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path):
    names = {name.removeprefix("fallfromgrace.") for name in imports(path) if name.startswith("fallfromgrace.")}
    return {name for name in names if f"fallfromgrace.{name}" in MODULES}


def short(name):
    return name.removeprefix("fallfromgrace.")


def layer(name):
    return next(height for height, names in enumerate(LAYERS) if name in names)


def test_every_module_has_its_place():
    assert {short(name) for name in MODULES} == set().union(*LAYERS)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_down_only(name):
    assert not [each for each in ours(MODULES[name]) if layer(each) > layer(short(name))]


def test_no_two_modules_import_each_other():
    reach = {short(name): ours(path) for name, path in MODULES.items()}
    for _ in reach:
        reach = {name: found.union(*(reach[each] for each in found)) for name, found in reach.items()}
    assert not [name for name, found in reach.items() if name in found]


@pytest.mark.parametrize("name", sorted(PURE))
def test_what_decides_touches_neither_clock_nor_process(name):
    tops = {each.partition(".")[0] for each in imports(PACKAGE / f"{name}.py")}
    assert not tops & IMPURE


def test_what_is_kept_apart_stays_apart():
    found = {(short(name), each) for name, path in MODULES.items() for each in ours(path)}
    assert not found & NEVER


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_each_library_is_known_to_its_own_module_only(library):
    users = {short(name) for name, path in MODULES.items() if library in {i.partition(".")[0] for i in imports(path)}}
    assert users <= ONLY_IN[library]


# By number a signal reaches whoever has the pid by then. The exceptions: our own commands and other children, whose
# pids are ours until we reap them, and kernels that have nothing better.
SIGNALLED_IN = {("spawn", "killpg"), ("children", "kill"), ("errand", "kill"), ("signalling", "kill")}
SIGNALLED_IN |= {("signalling", "pidfd_send_signal")}
SIGNALLED_IN |= {("canvas", "raise_signal")}  # Ctrl-Z, to ourselves
SIGNALLING = {"kill", "killpg", "tgkill", "tkill", "pthread_kill", "raise_signal", "pidfd_send_signal", "abort"}
SIGNALLING |= {"sigqueue", "rt_sigqueueinfo", "send_signal", "terminate", "suspend", "system", "popen"}
# Their functions are called by their full names, so that what they do is seen where they are used.
BY_FULL_NAME = {"os", "signal"}
LOOKED_UP = {"getattr", "__import__", "eval", "exec", "globals"}
# Ways around all that, and who may go them.
AROUND = {"subprocess", "multiprocessing", "concurrent", "threading", "_thread", "posix", "_signal", "pty", "ctypes"}
AROUND_IN = {("pressure", "ctypes")}


@finder
def signalling(nodes):
    return (node.attr for node in nodes if isinstance(node, ast.Attribute) and node.attr in SIGNALLING)


@finder
def renamed(nodes):
    """Names under which functions of `os` and `signal` could be called unseen."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module in BY_FULL_NAME:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in BY_FULL_NAME and each.asname)


@finder
def looked_up(nodes):
    """`getattr(os, "kill")` and its like."""
    for node in nodes:
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        harmless = called == "getattr" and ast.unparse(node.args[0]) not in BY_FULL_NAME | {"ctypes", "libc"}
        if called in LOOKED_UP and not harmless:
            yield ast.unparse(node)


def gone_around():
    return everywhere(lambda path: tops(path) & AROUND) - AROUND_IN


def tops(path):
    return {each.partition(".")[0] for each in imports(path)}


def test_nobody_is_signalled_by_number():
    assert everywhere(signalling) <= SIGNALLED_IN
    assert not ways_around()


def ways_around():
    return everywhere(renamed) | everywhere(looked_up) | gone_around()


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.kill(1, 2)",
        "import os as o",
        "from os import kill",
        "from signal import pidfd_send_signal as s",
        "import signal\nsignal.raise_signal(9)",
        'getattr(os, "kill")',
        "__import__('os')",
        "import _thread",
        "import ctypes",
        "os.system('kill 1')",
        "import psutil\npsutil.Process(1).terminate()",
    ],
)
def test_no_way_around_that_is_overlooked(code, tmp_path, monkeypatch):
    (path := tmp_path / "x.py").write_text(code)
    monkeypatch.setitem(MODULES, "fallfromgrace.x", path)
    assert everywhere(signalling) - SIGNALLED_IN or ways_around()


# What a process may keep us from reading for ever is read by children. These read it themselves: of ourselves, on
# kernels that have nothing better, or where nothing waits for them but a person.
HANGING = {"read_stat", "read_stat_line", "read_exe", "read_arguments", "read_rollup", "glimpse", "read_process"}
READS_ITSELF = {"procfs", "reference", "source", "measures", "rollups", "signalling", "errand"}
READS_ITSELF |= {"resident", "published"}  # of ourselves, and of the daemon
NEVER_NAMED = {"stat", "exe", "cmdline", "io", "smaps_rollup", "wchan"}


@finder
def hanging(nodes):
    for node in nodes:
        if isinstance(node, ast.Attribute):
            yield from {node.attr} & HANGING
        elif isinstance(node, ast.ImportFrom):
            yield from {each.name for each in node.names} & HANGING


@finder
def never_named(nodes):
    return {node.value for node in nodes if isinstance(node, ast.Constant)} & NEVER_NAMED


def test_what_may_hang_is_read_by_children_only():
    assert {name for name, _ in everywhere(hanging)} <= READS_ITSELF


@pytest.mark.parametrize("name", ["linux", "glimpses", "cmdlines", "kept", "usage", "meters", "actions", "loop"])
def test_who_looks_at_others_names_no_file_that_may_hang(name):
    assert not never_named(PACKAGE / f"{name}.py")


def test_checking_a_configuration_loads_nothing_that_only_the_daemon_needs():
    code = "import sys, fallfromgrace.cli as c; c.main(['-t', '-c', '/dev/null']); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert not {"psutil", "daemon", "fallfromgrace.loop"} & set(ran.stdout.split())
    assert "fallfromgrace.config" in ran.stdout.split()
