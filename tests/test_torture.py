"""The short form of every row of `make torture`."""

from pathlib import Path

import pytest

from tests.torture import ROWS, lacking, row

pytestmark = pytest.mark.live


def test_every_row_is_listed():
    here = {path.stem for path in (Path(__file__).parent / "torture").glob("[a-z]*.py")}
    assert here == set(ROWS)


# Of the first, who reads for it is given up when it takes long, which is then another difference; the other times
# matches and sweeps.
ALONE = {"memory", "patterns"}
EACH = [pytest.param(name, marks=pytest.mark.alone if name in ALONE else ()) for name in ROWS]


@pytest.mark.parametrize("name", EACH)
def test_what_is_promised_holds(name):
    if why := lacking(name):
        pytest.skip(why)
    figure = row(name).run(**row(name).SHORT)
    assert figure.met, (figure.said, figure.faults)
