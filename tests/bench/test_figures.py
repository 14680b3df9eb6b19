"""Figures stand beside something of the same run, and goals and checks are judged as they are told."""

from __future__ import annotations

import json
import math

import pytest

from bench.figures import SAMPLES, Figure, Report, number, percentile, sentence


@pytest.fixture
def report() -> Report:
    report = Report()
    report.part("a part")
    return report


def test_a_figure_stands_beside_another_one_by_its_name(report: Report) -> None:
    peer = report.figure("the peer", 2.0, "ms")
    figure = report.figure("ours", 3.0, "ms", beside=peer)
    assert (figure.peer, figure.beside, figure.ratio) == ("the peer", 2.0, 1.5)
    assert figure.met is None and peer.ratio is None and peer.met is None
    assert report.figures == [peer, figure] and figure.part == "a part"


def test_what_stands_beside_it_may_be_called_otherwise(report: Report) -> None:
    assert report.figure("ours", 3.0, "ms", peer="by hand", beside=6.0).peer == "by hand"


@pytest.mark.parametrize(("value", "more", "met"), [(2.9, False, True), (3.1, False, False), (3.1, True, True)])
def test_a_goal_is_for_the_ratio(report: Report, value: float, more: bool, met: bool) -> None:
    assert report.figure("ours", value, "ms", beside=1.0, goal=3, more=more).met is met


def test_a_goal_that_is_just_reached_is_met(report: Report) -> None:
    assert report.figure("ours", 6.0, "ms", beside=2.0, goal=3).met
    assert report.figure("ours", 6.0, "/s", beside=2.0, goal=3, more=True).met


def test_a_limit_is_what_stands_beside_it_and_the_goal(report: Report) -> None:
    figure = report.figure("ours", 1.5, "s", limit=2.0)
    assert (figure.peer, figure.beside, figure.goal, figure.met) == ("the limit", 2.0, 1.0, True)
    assert report.figure("ours", 2.5, "s", limit=2.0).met is False
    assert report.figure("ours", 2.5, "/s", limit=2.0, more=True).met is True


def test_without_a_peer_that_can_be_divided_by_there_is_no_ratio_and_no_verdict(report: Report) -> None:
    figure = report.figure("ours", 3.0, "ms", peer="nothing", beside=0.0, goal=1.0)
    assert figure.ratio is None and figure.met is None


def test_of_samples_the_median_counts_and_the_worst_is_told(report: Report) -> None:
    figure = report.figure("ours", [5.0, 1.0, 2.0], "ms")
    assert (figure.value, figure.worst, figure.p99, figure.n) == (2.0, 5.0, None, 3)


def test_where_more_is_better_the_least_is_the_worst(report: Report) -> None:
    figure = report.figure("ours", [5.0, 1.0, 2.0], "/s", more=True)
    assert figure.worst == 1.0 and "least 1.00 of 3" in sentence(figure)


def test_a_99th_percentile_needs_a_thousand_samples(report: Report) -> None:
    samples = [float(n) for n in range(SAMPLES)]
    figure = report.figure("ours", samples, "ms")
    assert (figure.p99, figure.worst) == (SAMPLES * 0.99 - 1, None)
    assert report.figure("ours", samples[1:], "ms").p99 is None


def test_a_99th_percentile_that_somebody_else_has_found_needs_them_too(report: Report) -> None:
    assert report.figure("ours", 1.0, "us", p99=2.0, n=SAMPLES).p99 == 2.0
    assert report.figure("ours", 1.0, "us", p99=2.0, n=SAMPLES - 1).p99 is None


def test_a_mean_of_many_calls_has_no_percentile(report: Report) -> None:
    figure = report.figure("a call", 1.0, "us", n=10 * SAMPLES)
    assert (figure.p99, figure.worst, figure.n) == (None, None, 10 * SAMPLES)


def test_percentiles_are_samples() -> None:
    samples = [float(n) for n in range(1, 101)]
    assert [percentile(samples, percent) for percent in (0, 1, 50, 99, 100)] == [1, 1, 50, 99, 100]
    assert percentile([7.0], 99) == 7.0


def test_a_check_that_failed_once_has_failed(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    report.check("nothing is lost", True)
    report.check("nothing is lost", False, "3 events")
    report.check("nothing is lost", True)
    assert report.checks == {"nothing is lost": False}
    assert report.notes == ["DOES NOT HOLD: nothing is lost: 3 events"]
    assert "  DOES NOT HOLD: nothing is lost: 3 events\n" in capsys.readouterr().out


def test_a_check_that_holds_says_nothing(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    report.check("nothing is lost", True)
    assert report.checks == {"nothing is lost": True} and not report.notes and not capsys.readouterr().out


def test_missed_are_those_with_a_goal_that_is_not_met(report: Report) -> None:
    report.figure("no goal", 9.0, "s", beside=1.0)
    report.figure("met", 1.0, "s", limit=2.0)
    missed = report.figure("missed", 3.0, "s", limit=2.0)
    assert list(report.missed) == [missed]


def test_all_is_told_as_json(report: Report) -> None:
    report.figure("ours", [1.0, 2.0, 6.0], "s", limit=1.0)
    report.check("nothing is lost", True)
    told = json.loads(json.dumps(report.facts()))
    (figure,) = told["figures"]
    assert figure["ratio"] == 2.0 and figure["met"] is False
    assert told["checks"] == {"nothing is lost": True}
    assert Figure(**{key: figure[key] for key in figure if key not in ("ratio", "met")}) == report.figures[0]


def test_sizes_are_small_where_only_the_working_is_shown() -> None:
    assert (Report().size(1000, 10), Report(quick=True).size(1000, 10)) == (1000, 10)


def test_a_sentence_tells_value_peer_goal_and_verdict(report: Report) -> None:
    peer = report.figure("the peer", 2.0, "ms")
    missed = sentence(report.figure("ours", 7.0, "ms", beside=peer, goal=3))
    assert missed.startswith("ours ")
    assert missed.endswith("7.00 ms; 3.50 x the peer (2.00), goal at most 3.00 x: MISSED")
    met = sentence(report.figure("ours", 7.0, "/s", beside=peer, goal=3, more=True))
    assert met.endswith("goal at least 3.00 x: met")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.012345, "0.0123"), (1.2345, "1.23"), (123.45, "123"), (12345.6, "12,346"), (math.inf, "inf")],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text
