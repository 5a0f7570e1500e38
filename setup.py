"""Build recipe. The metadata lives here so that every setuptools since Ubuntu 22.04's reads it."""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "fallfromgrace/__init__.py").read_text(), re.M)
assert VERSION is not None

TOP, METRICS, PLOT = ["rich>=11.2"], ["prometheus-client>=0.9"], ["matplotlib>=3.5"]


class FromTheSourceOnly(build_py):
    """What an older version has left in build/ would be installed, too."""

    def run(self):
        shutil.rmtree(Path(self.build_lib, "fallfromgrace"), ignore_errors=True)
        super().run()


setup(
    name="fall-from-grace",
    version=VERSION.group(1),
    description="Watch processes that you did not start, and act when they use too much",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="Björn Edström and the fall-from-grace maintainers",
    license="MIT",
    license_files=["LICENSE"],
    packages=["fallfromgrace", "fallfromgrace.commands"],
    package_data={"fallfromgrace": ["py.typed"]},
    scripts=["bin/fall-from-grace"],
    data_files=[
        ("share/man/man5", ["man/fall-from-grace.conf.5"]),
        ("share/man/man8", ["man/fall-from-grace.8"]),
        ("share/bash-completion/completions", ["completion/fall-from-grace"]),
        ("share/systemd/user", ["desktop/fall-from-grace.service"]),
        ("share/fall-from-grace", ["schema/fall-from-grace.schema.json"]),
    ],
    cmdclass={"build_py": FromTheSourceOnly},
    python_requires=">=3.10",
    install_requires=["psutil>=5.9", "python-daemon>=2.2", "PyYAML>=5.4", "ply>=3.11"],
    extras_require={
        # What single commands need, and the daemon never loads.
        "top": TOP,
        "metrics": METRICS,
        "plot": PLOT,
        "test": ["pytest", "pytest-xdist", "mock", "hypothesis", "jsonschema>=3.2", *TOP, *METRICS, *PLOT],
        "bench": PLOT,
        "lint": ["ruff", "mypy", "types-psutil", "types-PyYAML", "types-mock", *TOP, *METRICS, *PLOT],
    },
    classifiers=[
        "Environment :: No Input/Output (Daemon)",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: System :: Monitoring",
    ],
)
