"""The reader of the manual is no friend who nods at everything."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import Child
from tests.support.page import Page
from tests.support.reader import Reader, _after, _last_shown, merged, shows

Follow = Callable[[str, float], None]

PAGE = """\
Title
=====

.. file: A.py

.. code-block:: python

    x = 1

    y = 2

.. run: look

.. code-block:: sh

    cat A.py
    echo "now: $(date -u +%H:%M:%SZ)"

.. shows: look

.. code-block:: none

    x = 1
    ...
    now: 12:03:05Z

.. change: A.py

.. code-block:: python

    y = 3

.. needs: a-program-that-nobody-has

.. fails: not-there

.. code-block:: sh

    a-program-that-nobody-has

.. fails: wrong

.. code-block:: sh

    grep 2 A.py

.. start: clock

.. code-block:: sh

    cat A.py -

.. shows: clock

.. code-block:: none

    y = 3

.. end: clock

.. session: shell

.. code-block:: none

    $ python3 -q
    >>> 6 * 7
    42
    >>> breakpoint()
    --Return--
    ...
    (Pdb) p 1 + 1
    2
    (Pdb) c
    >>> exit()
"""


@pytest.fixture
def follow(tmp_path: Path, child: Callable[..., Child]) -> Follow:
    def followed(text: str, patience_s: float) -> None:
        (tmp_path / "page.rst").write_text(text)
        environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        Reader(Page(tmp_path / "page.rst"), tmp_path, environ, child, patience_s=patience_s).follow()

    return followed


@pytest.mark.proc
def test_a_page_that_is_right_is_followed(follow: Follow):
    follow(PAGE, 60)


@pytest.mark.proc
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("    x = 1\n    ...", "    x = 2\n    ..."),
        ("    ...\n", ""),
        ("    now:", "    then:"),
        ("grep 2", "grep 3"),
        (".. fails: wrong", ".. run: wrong"),
        ("    y = 3\n\n.. end", "    y = 2\n\n.. end"),
        ("    42\n", "    43\n"),
        ("p 1 + 1", "p 1 + 2"),
    ],
)
def test_a_page_that_is_wrong_is_found_out(follow: Follow, right: str, wrong: str):
    assert right in PAGE
    with pytest.raises(AssertionError) as found:
        follow(PAGE.replace(right, wrong), 2)
    assert any(note.startswith("page.rst:") for note in found.value.__notes__)


def test_what_differs_between_two_runs_is_no_difference():
    assert shows(
        "2026-11-25_12:07:49.867341Z OVEN loaded /home/you/first/OVEN.py: 3 states by you@lab (127.0.0.1)\n",
        "2027-01-02_03:04:05.000001Z OVEN loaded /tmp/x-1/OVEN.py: 3 states by root@vm2 (127.0.0.1)\n",
    )
    assert shows("X   a\n", "X a   \n")
    assert not shows("X a\n", "X a\nX b\n")
    assert not shows("3 states\n", "4 states\n")


def test_lines_of_two_speakers_are_put_in_order():
    said = "2026-11-25_12:00:02Z two\n2026-11-25_12:00:01Z one\n2026-11-25_12:00:03Z three\n"
    assert _last_shown("... one\n... two\n", _after("", said)) == "2026-11-25_12:00:02Z two"
    assert _after("2026-11-25_12:00:02Z two", said) == ["2026-11-25_12:00:03Z three"]
    with pytest.raises(AssertionError, match=r"no line '\.\.\. one'"):
        _last_shown("... two\n... one\n", _after("", said))


def test_a_change_replaces_what_has_the_same_name():
    source = "import a\n\n\nclass A:\n    pass\n\n\n@deco\nclass B:\n    pass\n\n\nedges = [\n    1,\n]\n"
    changes = "import b\n\n\nclass B:\n    y = 2\n\n\nedges = [2]\n\n\nclass C:\n    pass\n"
    assert merged(source, changes) == (
        "import b\nimport a\n\n\nclass A:\n    pass\n\n\nclass B:\n    y = 2\n\n\nedges = [2]\n\n\nclass C:\n    pass\n"
    )


def test_a_block_that_nobody_can_check_is_named(tmp_path: Path):
    (tmp_path / "page.rst").write_text(PAGE.replace(".. run: look\n\n", ""))
    assert [step.text.split()[0] for step in Page(tmp_path / "page.rst").unmarked] == ["cat"]
