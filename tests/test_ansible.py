"""The example for Ansible, as far as it can be looked at without it; `tests/package/ansible` plays it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fallfromgrace import cli

HERE = Path(__file__).parent.parent / "examples" / "ansible"
ROLE = HERE / "roles" / "fall_from_grace"
README = (HERE / "README.md").read_text()
TEMPLATES = HERE / "templates"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def tasks() -> list[dict[str, Any]]:
    """All of the role, out of their blocks."""
    outer = [task for path in sorted((ROLE / "tasks").glob("*.yml")) for task in read(path)]
    inner = [each for task in outer for each in (*task.get("block", ()), *task.get("always", ()))]
    return [task for task in outer if "block" not in task] + inner


def test_its_configuration_is_fine(capsys, tmp_path):
    for path in TEMPLATES.rglob("*.conf"):  # the checkout may be writable for others
        copy = tmp_path / path.relative_to(TEMPLATES)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text())
    assert cli.main(["check", "--strict", str(tmp_path / "fall-from-grace.conf")]) == 0
    assert "2 monitors, 2 rules, fine" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted((HERE / "group_vars").iterdir()), ids=lambda path: path.stem)
def test_every_file_that_a_group_has_is_there(path):
    listed = read(path)["fall_from_grace_files"]
    assert listed
    assert [each for each in listed if not (TEMPLATES / each).is_file()] == []


def test_every_file_that_is_there_is_what_some_group_has():
    listed = {each for path in (HERE / "group_vars").iterdir() for each in read(path)["fall_from_grace_files"]}
    assert listed == {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.conf")}


def test_every_variable_is_explained_and_means_what_it_says():
    defaults = read(ROLE / "defaults" / "main.yml")
    options = read(ROLE / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    explained = re.findall(r"^\| `(fall_from_grace_\w+)` \|", README, re.MULTILINE)
    assert set(defaults) == set(options) == set(explained)
    assert defaults == {name: option["default"] for name, option in options.items()}


def test_what_is_put_in_its_place_was_checked_and_is_reloaded():
    changing = [task for task in tasks() if "/etc/{{ item }}" in str(task)]
    assert len(changing) == 2
    [handler] = read(ROLE / "handlers" / "main.yml")
    assert all(task["notify"] == handler["name"] for task in changing)
    names = [task["name"] for task in tasks()]
    assert names.index("Check it") < min(names.index(task["name"]) for task in changing)


def test_the_task_in_the_readme_is_as_strict_as_the_role_s():
    [[task]] = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", README, re.M | re.S)]
    [role_s] = [each for each in tasks() if "validate" in each.get("ansible.builtin.copy", {})]
    same = ("owner", "group", "mode", "validate")
    assert [task["ansible.builtin.copy"][name] for name in same] == [
        role_s["ansible.builtin.copy"][name] for name in same
    ]


def test_the_readme_names_the_files_that_there_are():
    named = re.findall(r"^((?:templates|group_vars)/\S+) ", README, re.MULTILINE)
    there = [path for name in ("templates", "group_vars") for path in (HERE / name).rglob("*") if path.is_file()]
    assert sorted(named) == sorted(str(path.relative_to(HERE)) for path in there)
