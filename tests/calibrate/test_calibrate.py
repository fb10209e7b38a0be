"""That the calibration measures what it says: the draws, the intervals, the page; and a sample of its cells."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from driftd.core.distance import Floats
from driftd.core.judge import Judgement, judge
from tests.calibrate import budget, measure, page
from tests.calibrate.budget import CASES, RULES, Alarms, Stretch, most_alarms, stretches, watch
from tests.calibrate.cells import LEVELS, SIZES, Cell, Stream, all_cells, drawn, streams
from tests.calibrate.measure import Chunk, Tally, add, chunks, count
from tests.calibrate.run import Outcome, Run
from tests.calibrate.streams import Kind, Latent
from tests.calibrate.verdict import failures, interval, rate

ROOT = Path(__file__).parents[2]
NORMAL = Cell("psi", "normal", "independent", 300, 6_000)


def one_stream(cell: Cell) -> Stream:
    (stream,) = streams([cell])
    return stream


def tallied(cell: Cell, references: int = 400) -> Tally:
    out = Tally()
    add(out, count(Chunk(one_stream(cell), 1, 0, references, 0)).passed[cell])
    return out


@pytest.mark.slow
def test_twenty_cells_fail_only_where_the_page_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.calibrate", "--cells", "20", "--seed", "1", "--processes", "2"],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(line.startswith(("ok  ", "FAIL")) for line in done.stdout.splitlines()) == 20


@pytest.mark.parametrize(("hits", "windows"), [(0, 100), (3, 100), (100, 100), (1_043, 20_000)])
def test_intervals_are_exact(hits, windows) -> None:
    want = stats.binomtest(hits, windows).proportion_ci(0.99, "exact")
    assert interval(hits, windows) == pytest.approx((want.low, want.high), abs=1e-12)


@pytest.mark.parametrize(
    ("percent", "level", "independent", "word"),
    [
        (5.0, 0.05, True, ""),
        (3.0, 0.05, True, "too seldom"),
        (3.0, 0.05, False, "quiet"),
        (7.0, 0.05, True, "too often"),
        (7.0, 0.05, False, ""),
        (9.0, 0.05, False, "too often"),
        (1.8, 0.01, True, "too often"),
        (1.8, 0.01, False, ""),
        (2.8, 0.01, False, "too often"),
        (0.0, 0.01, True, "too seldom"),
    ],
)
def test_what_a_rate_is_called(percent, level, independent, word) -> None:
    assert rate(round(percent * 100), 10_000, level, independent=independent).word == word


@pytest.mark.parametrize(("power", "word"), [(2.0, "too seldom"), (0.5, "too often")])
def test_a_law_that_is_wrong_fails_whichever_way(monkeypatch, power, word) -> None:
    def wrong(*arguments: object) -> Judgement:
        found = judge(*arguments)  # type: ignore[arg-type]
        return replace(found, p_value=np.minimum(1.0, found.p_value ** (1 / power)))

    monkeypatch.setattr(measure, "judge", wrong)
    assert {found[2] for found in failures({NORMAL: tallied(NORMAL, 1_000)})} == {word}


def p_values(monkeypatch: pytest.MonkeyPatch, stream: Stream, references: int) -> Floats:
    out: list[Floats] = []

    def kept(*arguments: object) -> Judgement:
        found = judge(*arguments)  # type: ignore[arg-type]
        out.append(found.p_value[0])
        return found

    with monkeypatch.context() as patched:
        patched.setattr(measure, "judge", kept)
        count(Chunk(stream, 1, 0, references, 0))
    (found,) = out
    return found


@pytest.mark.parametrize(
    ("kind", "references"), [("normal", 600), ("integers", 600), ("3 categories", 600), ("200 Zipf categories", 200)]
)
def test_counts_that_are_drawn_are_those_of_values_that_are(monkeypatch, kind, references) -> None:
    stream = one_stream(replace(NORMAL, kind=kind, n=100, m=2_000))
    assert stream.ranked or stream.counted
    short = p_values(monkeypatch, stream, references)
    with monkeypatch.context() as patched:
        patched.setattr(Stream, "ranked", False)
        patched.setattr(Stream, "counted", False)
        long = p_values(monkeypatch, stream, references)
    assert stats.ks_2samp(short, long).pvalue > 0.01


def test_squeezed_values_are_the_same_to_psi(monkeypatch) -> None:
    stream = one_stream(replace(NORMAL, kind="lognormal", dependence="AR(1) 0.9", n=100, m=2_000))
    exact = replace(stream, exact=True)
    monkeypatch.setattr(Stream, "name", "the same seed")
    assert p_values(monkeypatch, stream, 50).tolist() == p_values(monkeypatch, exact, 50).tolist()


@pytest.mark.parametrize(("kind", "deviation"), [("normal", 1.0), ("integers", 3**0.5 / 20)])
def test_what_sees_more_than_ranks_gets_moments(kind, deviation) -> None:
    stream = replace(one_stream(replace(NORMAL, kind=kind)), exact=True)
    assert not stream.counted
    reference = measure._drawn(np.random.default_rng(0), stream, 20).reference
    scales = np.array([axis.scale for _, axis in reference.grid.numeric_axes])
    assert (reference.deviations() * scales).mean() == pytest.approx(deviation, rel=0.02)


@pytest.mark.parametrize(("dependence", "phi"), [("independent", 0.0), ("AR(1) 0.5", 0.5), ("AR(1) 0.9", 0.9)])
def test_series_depend_on_their_past_as_they_say(dependence, phi) -> None:
    for kind in (Kind("normal", lambda z: z), Kind("heavy", lambda z: z, degrees=3)):
        latent = Latent(np.random.default_rng(0), kind, dependence, 200, 1)
        values = np.concatenate([latent.take(500), latent.take(500)], axis=1)
        assert np.mean(values[:, 1:] * values[:, :-1]) / np.mean(values**2) == pytest.approx(phi, abs=0.02)
        # It goes on where it was left.
        seam = np.corrcoef(values[:, 499], values[:, 500])[0, 1]
        assert seam == pytest.approx(phi, abs=0.2)


def test_the_wobble_is_of_whole_hours() -> None:
    latent = Latent(np.random.default_rng(0), Kind("normal", lambda z: z), "hourly wobble", 2_000, 100)
    values = np.concatenate([latent.take(250), latent.take(100)], axis=1)
    hours = [values[:, :100], values[:, 100:200], values[:, 200:250], values[:, 250:]]
    means = np.stack([hour.mean(axis=1) for hour in hours])
    # A hundred values alone have means of variance 0.01; the wobble adds as much.
    assert means[[0, 1, 3]].var() == pytest.approx(0.02, rel=0.15)
    assert abs(np.corrcoef(means)[np.triu_indices(4, 1)]).max() < 0.1


def test_a_portion_is_a_function_of_its_seed_alone() -> None:
    stream = one_stream(replace(NORMAL, dependence="AR(1) 0.5", n=100, m=2_000))
    first, again, other = (count(Chunk(stream, seed, 0, 50, 3)) for seed in (1, 1, 2))
    (cell,) = stream.cells
    assert first.passed[cell].shape == (4, 50)
    assert first.passed[cell].tolist() == again.passed[cell].tolist()
    assert first.passed[cell].tolist() != other.passed[cell].tolist()


def test_every_cell_is_in_one_stream_and_has_its_references() -> None:
    cells = all_cells()
    assert sorted(cell for stream in streams(cells) for cell in stream.cells) == sorted(set(cells))
    assert all(n <= m / 20 for n, m in SIZES)
    for stream in streams(cells):
        made = chunks(stream, 1, 0.01, 100)
        assert sum(chunk.references for chunk in made) >= 200
        assert {cell.m for cell in stream.cells} == {stream.m}
    assert drawn(20, 1) == drawn(20, 1) != drawn(20, 2)


def test_the_page_names_what_fails_and_is_read_again(tmp_path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    tallies: dict[Cell, Tally] = {}
    for cell in all_cells():
        tallies[cell] = Tally()
        add(tallies[cell], rng.choice(3, p=[0.93, 0.05, 0.02], size=(41, 300)))
    found = failures(tallies)
    assert {level for _, level, _ in found} == set(LEVELS) or len(found) > 3
    none = {rule.name: 0 for rule in RULES}
    alarms = {case: Alarms(1_000, none | {RULES[0].name: 9}, none) for case in CASES}
    monkeypatch.setattr(page, "PAGE", tmp_path / "calibration.md")
    page.write(Run(1, 0.1, whole=True, cells=list(tallies)), Outcome(tallies, alarms, 60.0, 600.0))
    assert page.named(page.PAGE.read_text()) == found
    assert page.PAGE.read_text().count("| 9 ↑ |") == 3
    assert page.named("") == set()


def test_the_page_of_the_project_is_of_the_cells_that_there_are() -> None:
    named = {name for name, _, _ in page.named(page.PAGE.read_text())}
    assert named <= {str(cell) for cell in all_cells()}


# -- the budget ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_budget_holds_over_repeated_looks(case) -> None:
    smaller = replace(case, signals=min(case.signals, 100))
    found = watch(Stretch(smaller, 1, 0, 40))
    for rule in RULES:
        assert found.fired[rule.name] <= most_alarms(rule, 40, case.most)


def test_a_law_that_does_not_hold_breaks_the_budget(monkeypatch) -> None:
    monkeypatch.setattr(budget, "REFERENCE_PARTS", 1)  # it has no order, and nothing is replayed
    monkeypatch.setattr(budget, "PART_VALUES", 50_000)
    found = watch(Stretch(CASES[-1], 1, 0, 5))
    assert found.fired[RULES[0].name] > most_alarms(RULES[0], 5, CASES[-1].most)
    assert found.passed[RULES[0].name] > 30


def test_looks_that_are_left_out_would_have_changed_nothing(monkeypatch) -> None:
    # With a budget at which every few looks one passes.
    often = tuple(replace(rule, false_alarms_per_year=3_000.0) for rule in RULES[1:])
    monkeypatch.setattr(budget, "RULES", often)
    stretch = Stretch(replace(CASES[0], signals=10), 1, 0, 20)
    found = watch(stretch)
    monkeypatch.setattr(budget, "_least_p", lambda *_: 0.0)
    every = watch(stretch)
    assert (found.fired, found.passed) == (every.fired, every.passed)
    assert 0 < found.passed[often[0].name] < 120


def test_what_a_poisson_count_of_the_budget_reaches() -> None:
    assert [most_alarms(rule, 10_000, 1.0) for rule in RULES] == [4, 4, 140]
    assert most_alarms(RULES[0], 10_000, 3.0) == 12
    made = stretches(1, 600)
    assert sum(s.hours for s in made) == 600 * len(CASES)
    total = Alarms()
    total.add(Alarms(10, {"a": 1}, {"a": 2}))
    total.add(Alarms(10, {"a": 2}, {"a": 3}))
    assert (total.hours, total.fired, total.passed) == (20, {"a": 3}, {"a": 5})
