"""Node and NodeManager where no node runs the code: it is only looked at."""

from __future__ import annotations

import pytest

from guardian.access.manager import Node, NodeManager


@pytest.mark.parametrize("made", [Node("SUS_1"), NodeManager(["SUS_1"])], ids=["Node", "NodeManager"])
def test_a_checker_without_its_parentheses_is_told_when_the_module_is_read(made: Node | NodeManager) -> None:
    def main() -> None: ...

    with pytest.raises(TypeError, match=r"not main: @nodes\.checker\(\) or @nodes\.checker\('DOWN'\)"):
        made.checker(main)  # type: ignore[arg-type]


def test_a_checker_takes_the_name_of_a_state_or_nothing() -> None:
    assert NodeManager(["SUS_1"]).checker().__name__ == NodeManager(["SUS_1"]).checker("DOWN").__name__
