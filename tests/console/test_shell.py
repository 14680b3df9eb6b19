"""The shell of all pages: what it loads is there, and all that is there is loaded at once, not module after module."""

from __future__ import annotations

import re

from guardian.console.pages import STATIC


def _named(pattern: str) -> set[str]:
    return set(re.findall(pattern, (STATIC / "index.html").read_text()))


def _there(suffix: str) -> set[str]:
    return {str(path.relative_to(STATIC)) for path in STATIC.rglob(f"*{suffix}")}


def test_the_shell_names_every_module_and_every_sheet_of_style() -> None:
    assert _named(r'(?:modulepreload" href|module" src)="/static/([^"]+)"') == _there(".js")
    assert _named(r'stylesheet" href="/static/([^"]+)"') == _there(".css")


def test_modules_import_only_what_is_there() -> None:
    modules = _there(".js")
    for name in modules:
        text = (STATIC / name).read_text()
        for path in re.findall(r'^(?:import|\} from|import .* from) .*?"(\.[^"]+)";$', text, re.MULTILINE):
            assert str((STATIC / name).parent.joinpath(path).resolve().relative_to(STATIC)) in modules, (name, path)


def test_there_is_no_script_and_no_style_but_in_files() -> None:
    text = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", text)
    for name in _there(".js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", (STATIC / name).read_text()
        ), name
