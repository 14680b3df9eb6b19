"""What may be called how: PVs, nodes, hosts, the IFO."""

from __future__ import annotations

import pytest

from guardian.core.names import PV_TEMPLATE, check_name, pv_name, why_not_host, why_not_ifo, why_not_template
from guardian.errors import SystemLoadError


def test_names_of_PVs() -> None:
    assert pv_name(PV_TEMPLATE, ifo="X1", node="SUS_MC1", name="OP") == "X1:GRD-SUS_MC1_OP"
    assert pv_name(PV_TEMPLATE, ifo="", node="SUS_MC1", name="OP") == "GRD-SUS_MC1_OP"
    assert pv_name("LAB:{node}:{name}", ifo="", node="A", name="OP") == "LAB:A:OP"


@pytest.mark.parametrize("name", ["SUS_MC1", "A", "X-1", "A" * 30])
def test_a_good_name(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "sus", "Sus", "1SUS", "_SUS", "SUS MC1", "SUS/MC1", "..", "A" * 31, "HOST_A", "SUS\n"]
)
def test_a_bad_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(SystemLoadError, match="use upper-case letters"):
        check_name(name)


@pytest.mark.parametrize("name", ["ctrl7", "CTRL-7", "7", "a_b", "x" * 30])
def test_names_that_a_host_can_have(name: str) -> None:
    assert why_not_host(name) is None


@pytest.mark.parametrize("template", ["{ifo}:GRD-{node}_{name}", "LAB:{node}:{name}", "{node}.{name}"])
def test_templates_that_work(template: str) -> None:
    assert why_not_template(template) is None


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{ifo}:{node}", "needs {name}"),
        ("{name}", "needs {node}"),
        ("GRD", "needs {node} and {name}"),
        ("{{node}}_{name}", "needs {node}"),  # an escape: the same for every node
        ("{node:.3}_{name}", "cannot be filled"),  # SUS_MC1 and SUS_MC2 would be one
        ("{node}_{name:5}", "cannot be filled"),  # spaces behind OP
        ("{node!r}_{name}", "cannot be filled"),
        ("{ifo.x}{node}{name}", "cannot be filled"),
        ("{0}{node}{name}", "cannot be filled"),
        ("{}{node}{name}", "cannot be filled"),
        ("{prefix}{node}{name}", "cannot be filled"),
        ("{node", "cannot be filled"),
        ("{node} {name}", "no PV name"),
        ("{node}\t{name}", "no PV name"),
        ("\u00b5{node}_{name}", "no PV name"),
    ],
)
def test_templates_that_do_not(template: str, says: str) -> None:
    assert says in (why_not_template(template) or "")


def test_ifo() -> None:
    assert why_not_ifo("") is None and why_not_ifo("X1") is None
    assert why_not_ifo("X\n1") and why_not_ifo("\u00b5") and why_not_ifo("X" * 40)
