import pytest

from fallfromgrace import orders
from fallfromgrace.exits import UsageError
from fallfromgrace.orders import Orders

SOME = Orders("/etc/x.conf", "/run/x.pid", "/run/x/x.json", reader=12, pipe=3, waiting=4, dry_run=0, verbose=1)


@pytest.mark.parametrize(
    "given",
    [
        SOME,
        SOME._replace(pidfile="", state="none", waiting=-1),
        SOME._replace(config="/a b/\udcff=\n.conf", dry_run=1, verbose=0),
    ],
)
def test_what_is_said_is_what_is_heard(given):
    flag, *words = given.words()
    assert flag == "--resident"
    assert orders.parse(words) == given


def test_the_words_can_be_read_by_people():
    assert " ".join(SOME.words()).startswith("--resident config=/etc/x.conf pidfile=/run/x.pid state=/run/x/x.json ")


@pytest.mark.parametrize("words", [[], ["-d"], SOME.words(), SOME.words()[2:], [*SOME.words()[1:], "more=1"]])
def test_others_are_told_to_leave_it_alone(words):
    with pytest.raises(UsageError, match="--resident is what the program tells itself; leave it out"):
        orders.parse(words)


@pytest.mark.parametrize(("waiting", "kept"), [(4, (3, 4)), (-1, (3,))])
def test_descriptors_are_handed_on_with_it(waiting, kept):
    assert SOME._replace(waiting=waiting).descriptors == kept
