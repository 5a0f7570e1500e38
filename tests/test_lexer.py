import os
import subprocess
import sys

import pytest

from fallfromgrace.errors import RuleSyntaxError
from fallfromgrace.grammar import parse_action, parse_trigger
from fallfromgrace.lexer import lexer
from tests.strategies import marked

cases = pytest.mark.parametrize


def tokens(state, text):
    reader = lexer(state)
    reader.input(text)
    return list(reader)


@cases(
    ("text", "kinds"),
    [
        ("rmem>1g", "MEASURED COMPARED LITERAL"),
        ("rmem<=2.2k", "MEASURED COMPARED LITERAL"),
        ("10m/s<read", "LITERAL COMPARED MEASURED"),
        ("10m/S<read", "LITERAL COMPARED MEASURED"),
        ("1g/swap", "LITERAL / MEASURED"),
        ("25%+rmem", "LITERAL + MEASURED"),
        ("not(tree.rmem)", "NOT ( MEASURED )"),
        ("AND Or nOt FOR until Growth", "AND OR NOT FOR UNTIL GROWTH"),
        ("growth(rmem,10m)", "GROWTH ( MEASURED , LITERAL )"),
        ("rmem-5", "MEASURED - LITERAL"),
        ("1h30m", "LITERAL"),
        (" \n ", ""),
    ],
)
def test_the_words_of_a_trigger(text, kinds):
    assert [token.type for token in tokens("INITIAL", text)] == kinds.split()


@cases(
    ("text", "kinds"),
    [
        ("stop tree@10m", "SIGNAL TARGET @ NUMBER"),
        ("after 5m kill largest", "AFTER NUMBER SIGNAL TARGET"),
        ("RECOVERED Nice -5 group", "RECOVERED ADJUST NUMBER TARGET"),
        ("exec@2m x @ y", "WORDED @ DURATION REST"),
        ("exec 7z a", "WORDED REST"),
        ("exec\n x\n", "WORDED REST"),
        ("log exec kill @ 5m", "WORDED REST"),
    ],
)
def test_the_words_of_an_action(text, kinds):
    assert [token.type for token in tokens("action", text)] == kinds.split()


NO_TRIGGERS = [  # what is wrong is between « and »
    # signs and words of other languages
    ("rmem «=» 5", "'=' is not in the language; write '=='"),
    ("rmem «===» 5", "'===' is not in the language; write '=='"),
    ("rmem «=>» 5", "'=>' is not in the language; write '>='"),
    ("rmem «=<» 5", "'=<' is not in the language; write '<='"),
    ("rmem «<>» 5", "'<>' is not in the language; write '!='"),
    ("rmem «\u2265» 5", "'\u2265' is not in the language; write '>='"),
    ("rmem «\u2264» 5", "'\u2264' is not in the language; write '<='"),
    ("rmem «\u2260» 5", "'\u2260' is not in the language; write '!='"),
    ("rmem «\u2212» vmem > 5", "'\u2212' is not in the language; write '-'"),
    ("rmem > 5 «\u2013» 3", "'\u2013' is not in the language; write '-'"),
    ("rmem «\u00d7» 2 > 5", "'\u00d7' is not in the language; write '*'"),
    ("rmem «\u00f7» 2 > 5", "'\u00f7' is not in the language; write '/'"),
    ("rmem > 5 «&&» vmem > 5", "'&&' is not in the language; write 'and'"),
    ("rmem > 5 «&» vmem > 5", "'&' is not in the language; write 'and'"),
    ("rmem > 5 «||» vmem > 5", "'||' is not in the language; write 'or'"),
    ("«!» rmem > 5", "'!' is not in the language; write 'not'"),
    ("rmem > 5 «while» cpu > 5%", "'while' is not in the language; write 'and'"),
    ("rmem > 5 «unless» cpu > 5%", "'unless' is not in the language; write 'and not'"),
    ("rmem > 5 «during» 5m", "'during' is not in the language; write 'for'"),
    ("rmem «exceeds» 5g", "'exceeds' is not in the language; write '>'"),
    ("rmem «BELOW» 5g", "'BELOW' is not in the language; write '<'"),
    # misspelt
    ("rmem > 5 «adn» vmem > 5", "'adn' does not belong here; did you mean 'and'?"),
    ("rmem > 5 «xor» vmem > 5", "'xor' does not belong here; did you mean 'or'?"),
    ("(rmem > 5) «untill» vmem < 5", "'untill' does not belong here; did you mean 'until'?"),
    ("cpu > 5% «fro» 5m", "'fro' does not belong here; did you mean 'for'?"),
    ("«rmm» > 3", "'rmm' is not something that can be measured; did you mean 'rmem'?"),
    ("rmem > 1 and «vmen» > 3", "'vmen' is not something that can be measured; did you mean 'vmem'?"),
    ("«grow»(rmem, 1m) > 3", "'grow' is not something that can be measured; did you mean 'growth'?"),
    ("«tree.rmm» > 3", "'tree.rmm' is not something that can be measured; did you mean 'tree.rmem'?"),
    ("«tre.rmem» > 3", "'tre.rmem' is not something that can be measured; did you mean 'tree.rmem'?"),
    ("«rmem.tree» > 3", "'rmem.tree' is not something that can be measured; did you mean 'tree.rmem'?"),
    ("«process.rmem» > 3", "'process.rmem' is not something that can be measured; did you mean 'rmem'?"),
    ("«rmem.» > 3", "'rmem.' is not something that can be measured; did you mean 'rmem'?"),
    # named elsewhere
    ("«rss» > 1g", "'rss' is not something that can be measured; did you mean 'rmem'?"),
    ("«RSS» > 1g", "'RSS' is not something that can be measured; did you mean 'rmem'?"),
    ("«vsz» > 1g", "'vsz' is not something that can be measured; did you mean 'vmem'?"),
    ("«pss» > 1g", "'pss' is not something that can be measured; did you mean 'pmem'?"),
    ("«tree.rss» > 1g", "'tree.rss' is not something that can be measured; did you mean 'tree.rmem'?"),
    ("«uptime» > 1h", "'uptime' is not something that can be measured; did you mean 'age'?"),
    ("«io» > 1m/s", "'io' is not something that can be measured; did you mean 'read'?"),
    ("«free» < 1g", "'free' is not something that can be measured; did you mean 'system.available'?"),
    ("«available» < 1g", "'available' is not something that can be measured; did you mean 'system.available'?"),
    ("«load» > 4", "'load' is not something that can be measured; did you mean 'system.load'?"),
    ("«system.free» < 1g", "'system.free' is not something that can be measured; did you mean 'system.available'?"),
    ("«system.swap» < 1g", "'system.swap' is not something that can be measured; did you mean 'system.swapfree'?"),
    ("«system.avail» < 1g", "'system.avail' is not something that can be measured; did you mean 'system.available'?"),
    (
        "«system.rmem» > 1g",
        "'system.rmem' is not something that can be measured; of the machine there are system.available, "
        "system.swapfree, system.load, system.pressure",
    ),
    (
        "«network» > 1",
        "'network' is not something that can be measured; write rmem (resident memory), cpu, age or another of those "
        "in fall-from-grace.conf(5)",
    ),
    # scopes
    ("«tree» > 1g", "'tree' is not something that can be measured; did you mean 'tree.rmem'?"),
    ("«group.» > 1g", "'group.' is not something that can be measured; did you mean 'group.rmem'?"),
    ("«system» > 1g", "'system' is not something that can be measured; did you mean 'system.available'?"),
    ("«tree.age» > 1h", "there is no tree.age: ages are not added up; write age"),
    ("«tree.children» > 5", "there is no tree.children: children counts every descendant already; write children"),
    ("«group.count» > 5", "there is no group.count: count is of all that the monitor covers; write count"),
    # spaces
    ("rmem > 5 «g»", "there is a space between 5 and g; write 5g"),
    ("rmem > 1 «GB» and vmem > 1", "there is a space between 1 and GB; write 1g"),
    ("rmem > 2.5 «gigs»", "there is a space between 2.5 and gigs; write 2.5g"),
    ("age > 5 «minutes»", "there is a space between 5 and minutes; write 5m"),
    ("rmem > 5 for 1 «hour»", "there is a space between 1 and hour; write 1h"),
    ("read > 10 «m»/s", "there is a space between 10 and m; write 10m/s"),
    ("read > 10m / «s»", "a rate is written without spaces, and with s for the second: 10m/s"),
    ("read > 10m/«sec»", "a rate is written without spaces, and with s for the second: 10m/s"),
    ("cpu > 90 «%»", "there is a space between 90 and %; write 90%"),
    ("cpu > 90 «percent»", "there is a space between 90 and percent; write 90%"),
    ("age > 1h «30m»", "there is a space between 1h and 30m; write 1h30m"),
    ("rmem > 5 for 1h «30m»", "there is a space between 1h and 30m; write 1h30m"),
    ("rmem>«1gand» vmem>1", "there is no space between '1g' and 'and'; write 1g and"),
    ("rmem > «500mFOR» 5m", "there is no space between '500m' and 'FOR'; write 500m FOR"),
    ("rmem > 1g «for5m»", "there is no space between 'for' and '5m'; write for 5m"),
    # numbers
    ("rmem > 1«,»5g", "a number has no ',' in it; one and a half is 1.5, and a thousand is 1000"),
    ("rmem > «.5g»", "'.5g' has no digit before its '.'; write 0.5g"),
    ("cpu > «.5%»", "'.5%' has no digit before its '.'; write 0.5%"),
    # characters
    ("rmem > «$»", "'$' does not belong here; a trigger is written like rmem > 500m"),
    ('rmem > «"»5g"', "'\"' does not belong here; write this without quotes"),
    ("rmem > «'»5g'", '"\'" does not belong here; write this without quotes'),
    ("«\u00e9» > 5", "'\u00e9' does not belong here; a trigger is written like rmem > 500m"),
    ("rmem«\t»> 5", "'\\t' only looks like a space; write a plain one"),
    ("rmem«\xa0»> 5", "'\\xa0' only looks like a space; write a plain one"),
    ("rmem > 1«\r»", "'\\r' only looks like a space; write a plain one"),
    ("rmem > 1«\x07»", "'\\x07' does not belong here; remove it"),
    ("rmem«\u200b» > 1", "'\\u200b' does not belong here; remove it"),
    # long ones
    ("rmem > «" + "5q" * 250 + "»", f"'{'5q' * 30}...' is not a size; write a number with k, m, g or t, such as 500m"),
    (
        "«" + "x" * 500 + "» > 1",
        f"'{'x' * 60}...' is not something that can be measured; write rmem (resident memory), cpu, age or another of "
        "those in fall-from-grace.conf(5)",
    ),
]
ALL = "kill, abrt, quit, term, int, hup, stop, cont, usr1, usr2, nice, oom, exec, notify, log"
NO_ACTIONS = [
    ("«tern»", "'tern' is not an action; did you mean 'term'?"),
    ("«terminate»", "'terminate' is not an action; did you mean 'term'?"),
    ("«SIGTERM»", "'SIGTERM' is not an action; did you mean 'term'?"),
    ("«sigKILL» tree", "'sigKILL' is not an action; did you mean 'kill'?"),
    ("«SIGSEGV»", f"'SIGSEGV' is not an action; an action is one of {ALL}"),
    ("«eat»", f"'eat' is not an action; an action is one of {ALL}"),
    ("«syslog» x", "'syslog' is not an action; did you mean 'log'?"),
    ("«recover» log x", "'recover' is not an action; did you mean 'recovered'?"),
    ("«after30s» kill", "'after30s' is not an action; did you mean 'after'?"),
    ("after 5m «tern»", "'tern' is not an action; did you mean 'term'?"),
    ("recovered «lgo» x", "'lgo' is not an action; did you mean 'log'?"),
    ("«killall» firefox", "'killall' is not an action; a command is run with exec: exec killall"),
    ("«notify-send» x", "'notify-send' is not an action; a command is run with exec: exec notify-send"),
    ("after 5m «logger» x", "'logger' is not an action; a command is run with exec: exec logger"),
    ("«/»usr/bin/logger x", "'/' does not belong here; a command is run with exec: exec /usr/bin/logger"),
    ("«.»/x", "'.' does not belong here; a command is run with exec: exec ./x"),
    ("«execlogger»", f"'execlogger' is not an action; an action is one of {ALL}"),
    ("term «tre»", "'tre' does not belong here; did you mean 'tree'?"),
    ("term «all»", "'all' does not belong here; write term, term tree or term tree @ 10m"),
    ("term «every» 10m", "'every' does not belong here; write term, term tree or term tree @ 10m"),
    ("nice «ten»", "'ten' does not belong here; write nice 10, or nice 10 tree"),
    ("after 5 «m» term", "there is a space between 5 and m; write 5m"),
    ("term @ 5 «minutes»", "there is a space between 5 and minutes; write 5m"),
    ("term @ 1h «30m»", "there is a space between 1h and 30m; write 1h30m"),
    ('«"»term"', "'\"' does not belong here; write this without quotes"),
    ("exec«\t»x", "'\\t' only looks like a space; write a plain one"),
    ("notify «\xa0»x", "'\\xa0' only looks like a space; write a plain one"),
    ("term«\x00»", "'\\x00' does not belong here; remove it"),
    ("«\u212a»ill", "'\u212a' does not belong here; write kill, kill tree or kill tree @ 10m"),
    ("«" + "x" * 500 + "»", f"'{'x' * 60}...' is not an action; an action is one of {ALL}"),
]


@cases(
    ("parse", "text", "message"),
    [(parse_trigger, *case) for case in NO_TRIGGERS] + [(parse_action, *case) for case in NO_ACTIONS],
)
def test_words_that_are_none_are_told_with_what_was_probably_meant(parse, text, message):
    plain, start, end = marked(text)
    with pytest.raises(RuleSyntaxError) as caught:
        parse(plain)
    assert (caught.value.text, caught.value.start, caught.value.end) == (message, start, end)


def test_python_without_docstrings_is_told_so_instead_of_failing_oddly():
    ran = subprocess.run(
        [sys.executable, "-OO", "-c", "import fallfromgrace.grammar"], capture_output=True, text=True, env=os.environ
    )
    assert "cannot run under 'python -OO': its grammar is in docstrings" in ran.stderr
