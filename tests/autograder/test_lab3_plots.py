"""Lab 3's simulation, benchmark and pictures show what the functions behind them say, and name the blank that is left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path
from random import Random

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
import torch
import typer
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.figure import Figure

from shared.blanks import BlankError
from shared.plots import write_figure
from solutions.lab3_simple_kv_cache import access, growth, plots
from solutions.lab3_simple_kv_cache.cache import CacheConfig, SimpleKVCache
from solutions.lab3_simple_kv_cache.growth import Moment, Request, mean_utilisation, random_requests, simulate_growth
from tests.autograder.pictures import assert_legend_is_below_everything, blank_line, lines, plots_without

SMALL = CacheConfig(num_layers=3, num_kv_heads=2, head_dim=4, max_batch_size=1, max_seq_len=64)
TOKEN_BYTES = 256  # of growth.SMALL: 2 slabs, 2 layers, 2 heads, 8 numbers, 4 bytes


@pytest.fixture(scope="module")
def moments() -> list[Moment]:
    """Sixty requests in eight rows of 256 slots, as the handout tells of them."""
    return simulate_growth(random_requests())


def drawn(draw: Callable[[Axes], None]) -> Axes:
    axes = Figure().subplots()
    assert isinstance(axes, Axes)
    draw(axes)
    return axes


def boxes(axes: Axes) -> npt.NDArray[np.float64]:
    """The numbers behind the boxes of a picture, row by row."""
    (mesh,) = (collection for collection in axes.collections if isinstance(collection, QuadMesh))
    return np.asarray(mesh.get_array())


def draw_all(output: Path) -> int:
    with pytest.raises(typer.Exit) as stopped:
        plots.main(output)
    return int(stopped.value.exit_code)


def tokens_by_step(requests: list[Request], rows: int) -> list[tuple[int, int, int]]:
    """Tokens held, rows taken and requests waiting at each step, counted without a cache.

    Every request takes the row that is free first. It comes with its prompt and first token, writes one
    token a step, and still holds its row in the step of its last one.
    """
    free_from = [0] * rows
    served: list[tuple[int, Request]] = []
    for request in requests:
        row = min(range(rows), key=free_from.__getitem__)
        start = max(request.arrival, free_from[row])
        free_from[row] = start + request.new_tokens
        served.append((start, request))
    counted = []
    for step in range(max(free_from) + 1):  # one more, in which the last row is found empty
        held = [
            request.prompt_len + step - start + 1
            for start, request in served
            if start <= step < start + request.new_tokens
        ]
        waiting = sum(request.arrival <= step < start for start, request in served)
        counted.append((sum(held), len(held), waiting))
    return counted


def test_three_requests_in_two_rows_are_what_one_counts_by_hand() -> None:
    """C waits a step for A's row. B's last token is there at the end of step 2, and in step 3 its row is empty."""
    requests = [Request(0, prompt_len=2, new_tokens=1), Request(0, 1, 3), Request(0, 1, 1)]
    config = CacheConfig(num_layers=1, num_kv_heads=1, head_dim=1, max_batch_size=2, max_seq_len=4)
    found = simulate_growth(requests, config)
    #                        step, allocated, reserved, used, waiting; 8 bytes a token, 4 tokens a row
    assert found == [
        Moment(0, 64, 64, 8 * (3 + 2), 1),
        Moment(1, 64, 64, 8 * (2 + 3), 0),
        Moment(2, 64, 32, 8 * 4, 0),
        Moment(3, 64, 0, 0, 0),
    ]
    assert [(moment.wasted, moment.idle) for moment in found] == [(24, 0), (24, 0), (0, 32), (0, 64)]
    assert mean_utilisation(found) == (5 + 5 + 4) / (8 + 8 + 4)


def test_at_every_step_used_wasted_and_idle_are_all_that_was_allocated(moments: list[Moment]) -> None:
    row_bytes = TOKEN_BYTES * growth.SMALL.max_seq_len
    for moment in moments:
        assert moment.used + moment.wasted + moment.idle == moment.allocated == 8 * row_bytes
        assert 0 <= moment.used <= moment.reserved <= moment.allocated
        assert moment.reserved % row_bytes == 0 and moment.used % TOKEN_BYTES == 0
        assert not moment.waiting or moment.idle == 0, "somebody waits beside a free row"
    assert [moment.step for moment in moments] == list(range(len(moments)))
    assert any(moment.waiting for moment in moments) and any(moment.idle for moment in moments)


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_the_cache_holds_what_requests_wrote_that_are_under_way(rows: int) -> None:
    """The same, counted from the requests alone."""
    requests = random_requests(count=20, seed=rows)
    found = simulate_growth(requests, replace(growth.SMALL, max_batch_size=rows))
    row_bytes = TOKEN_BYTES * growth.SMALL.max_seq_len
    counted = [(moment.used // TOKEN_BYTES, moment.reserved // row_bytes, moment.waiting) for moment in found]
    assert counted == tokens_by_step(requests, rows)
    assert max(waiting for _, _, waiting in counted) > 0


def test_the_simulation_says_what_the_handout_quotes(moments: list[Moment]) -> None:
    """510 steps, a third used; somebody waits in 306 of them, though 16 rows never hold 2,048 tokens."""
    requests = random_requests()
    assert len(requests) == 60
    assert round(sum(request.prompt_len for request in requests) / 60) == 34
    assert round(sum(request.new_tokens for request in requests) / 60) == 55
    assert max(request.prompt_len + request.new_tokens for request in requests) == 256
    waiting = [moment.waiting for moment in moments]
    assert (len(moments), max(waiting), sum(map(bool, waiting))) == (510, 22, 306)
    assert f"{mean_utilisation(moments):.0%}" == "32%" and max(m.used for m in moments) == 860 * TOKEN_BYTES
    roomy = simulate_growth(requests, replace(growth.SMALL, max_batch_size=16))
    assert not any(moment.waiting for moment in roomy) and len(roomy) == 406
    assert max(moment.used for moment in roomy) == 1_206 * TOKEN_BYTES < moments[0].allocated


def test_requests_are_the_same_for_a_seed_and_all_of_them_fit() -> None:
    assert random_requests(seed=1) == random_requests(seed=1) != random_requests(seed=2)
    for longest in (2, 16, 256):
        requests = random_requests(count=200, longest=longest)
        assert all(request.prompt_len >= 1 and request.new_tokens >= 1 for request in requests)
        assert max(request.prompt_len + request.new_tokens for request in requests) == longest
        assert all(before.arrival <= after.arrival for before, after in pairwise(requests))


def test_a_cache_is_scaled_to_a_budget_by_its_layers_alone() -> None:
    llama = access.SHAPES["Llama-2 7B"]
    layer_bytes = 2 * 4_096 * 32 * 128 * 2
    for budget_bytes, layers in ((0, 1), (layer_bytes, 1), (5 * layer_bytes + 1, 5), (2**50, 32)):
        assert access.scaled(llama, budget_bytes) == replace(llama, num_layers=layers)
    assert 0 < access.budget() <= access.MOST_BYTES


def test_the_benchmark_measures_at_the_lengths_it_was_asked_for_and_leaves_torch_as_it_was() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        measured = access.measure_access(SMALL, [3, 10, 40])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert [each.length for each in measured] == [3, 10, 40]
    assert all(0 < seconds < 1 for each in measured for seconds in (each.update, each.get, each.read))
    assert [each.length for each in access.measure_access(SMALL)] == [16, 32]


def test_the_benchmark_times_a_cache_that_holds_as_many_tokens_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache whose update waits a millisecond a hundred tokens is found out, and its get is not blamed."""
    lengths = Counter[int]()
    append = SimpleKVCache.update

    def slow(self: SimpleKVCache, layer: int, row: int, key: torch.Tensor, value: torch.Tensor) -> None:
        length = int(self.lengths[layer, row])
        if len(key) == 1:
            lengths[length] += 1
            time.sleep(length / 100_000)
        append(self, layer, row, key, value)

    monkeypatch.setattr(SimpleKVCache, "update", slow)
    short, long = access.measure_access(replace(SMALL, max_seq_len=512), [20, 400])
    assert short.update > 0.000_2 and long.update > 0.004
    assert max(short.get, long.get) < 0.002
    assert lengths == {20: 3 * access.ROUNDS, 400: 3 * access.ROUNDS}


def test_every_picture_is_a_png_of_its_size_with_much_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moments: list[Moment]
) -> None:
    monkeypatch.setattr(access, "SHAPES", dict.fromkeys(access.SHAPES, SMALL))
    monkeypatch.setattr(growth, "simulate_growth", lambda requests: moments)
    assert draw_all(tmp_path / "made" / "here") == 0
    written = {path.stem: path for path in (tmp_path / "made" / "here").iterdir()}
    assert written.keys() == plots.PICTURES.keys()
    for name, path in written.items():
        image = matplotlib.image.imread(path)
        assert path.suffix == ".png" and image.shape[:2] == (675, 1_200)
        is_drawn = (image[:, :, :3] < 0.9).any(axis=2)
        assert 0.02 < is_drawn.mean() < 0.9, f"{name} is nearly empty, or nearly full"
        assert is_drawn[:60].any() and is_drawn[-60:].any(), f"{name} has no title or no label"
        assert len(np.unique(image[:, :, :3].sum(axis=2).round(2))) > 50, f"{name} is all of one colour"


def test_the_runs_one_sees_in_a_layout_are_as_long_as_its_label_says() -> None:
    axes = drawn(plots.draw_layouts)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["BHSD\nruns of 8 numbers", "BSHD\nruns of 2 numbers", "HBSD\nruns of 16 numbers"]
    for label, strip in zip(labels, boxes(axes), strict=True):
        assert {len(list(run)) for _, run in groupby(strip)} == {int(label.split()[-2])}
        assert Counter(strip) == {0: 16, 1: 16, 2: 16}


def test_the_parts_of_the_growth_picture_fill_it_to_the_top(moments: list[Moment]) -> None:
    axes = drawn(plots.draw_growth)
    parts = [part for part in axes.collections if isinstance(part, PolyCollection)]
    tops = [max(y for _, y in part.get_paths()[0].vertices) for part in parts]
    assert tops == pytest.approx([max(m.used for m in moments) / moments[0].allocated, 1, 1])
    bottom = [y for x, y in parts[2].get_paths()[0].vertices if x == 450]
    assert sorted(set(bottom)) == pytest.approx([moments[450].reserved / moments[450].allocated, 1])
    assert axes.get_title() == "Of the memory set aside for requests, 32% held tokens"


def test_a_token_is_drawn_to_see_the_sinks_and_the_window_that_ends_with_it() -> None:
    axes = drawn(plots.draw_window)
    assert axes.get_title() == "2 sinks, a window of 6: 8 slots for any number of tokens"
    token, seen = np.indices((24, 24))
    assert ((boxes(axes) > 0) == ((seen <= token) & ((seen < 2) | (seen > token - 6)))).all()


def test_a_large_channel_spoils_a_key_but_no_other_channel() -> None:
    found = lines(drawn(plots.draw_compression))
    sizes, by_key = found["INT8, a scale for each key"]
    _, by_channel = found["INT8, a scale for each channel"]
    _, blocks = found["INT4, a scale for every 32 numbers"]
    assert sizes == [2**power for power in range(9)]
    assert by_channel == pytest.approx([by_channel[0]] * 9)
    assert all(before < after for before, after in pairwise(by_key)) and by_key[-1] > 50 * by_channel[-1]
    assert by_key[6] == pytest.approx(2 * by_key[5], rel=0.05)  # twice as large, twice the step
    assert all(before < after for before, after in pairwise(blocks)) and blocks[-1] < by_key[-1]
    # A step of the largest of 128 normal numbers, about 2.7, over 127; a rounded number is off by a step over the
    # root of 12.
    assert by_key[0] == pytest.approx(2.7 / 127 / 12**0.5, rel=0.1)


def test_what_was_measured_is_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(0)
    times = {length: access.Access(length, random.random(), random.random(), random.random()) for length in (16, 32)}
    monkeypatch.setattr(access, "measure_access", lambda config: [*times.values()])
    found = lines(drawn(plots.draw_access))
    assert len(found) == 3 * len(access.SHAPES)
    for name in access.SHAPES:
        for work in ("update", "get", "read"):
            assert found[f"{name}: {work}"] == ([16, 32], [1e6 * getattr(each, work) for each in times.values()])


def test_a_picture_that_waits_for_a_blank_is_left_out_and_the_next_one_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unfinished(*_: object, **__: object) -> None:
        raise BlankError("labs/lab3_simple_kv_cache/sink_window.py:41: Q76 is still blank.")

    monkeypatch.setattr(plots, "PICTURES", {"window": unfinished, "layouts": plots.draw_layouts})
    assert draw_all(tmp_path) == 1
    assert "left out window.png: labs/lab3_simple_kv_cache/sink_window.py:41: Q76" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["layouts.png"]


@pytest.mark.parametrize(
    ("file", "question", "picture"),
    [
        ("layouts.py", "Q61", "layouts"),
        ("layouts.py", "Q63", "layouts"),
        ("cache.py", "Q24", "window"),
        ("quantization.py", "Q69", "compression"),
    ],
)
def test_the_question_is_named_wherever_its_blank_stops_the_picture(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    question: str,
    picture: str,
) -> None:
    """Blanks that are returned, alone or beside something else, and used where nobody knows what they are."""
    unfinished = plots_without(tmp_path, monkeypatch, "lab3_simple_kv_cache", file, question)
    assert not write_figure(tmp_path / "p.png", lambda: unfinished.figure_of(unfinished.PICTURES[picture]))
    assert f"p.png: {file}:{blank_line(unfinished, file)}: {question} is still blank." in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in plots.PICTURES if name != "window"])
def test_no_legend_hides_anything(name: str, monkeypatch: pytest.MonkeyPatch, moments: list[Moment]) -> None:
    monkeypatch.setattr(access, "SHAPES", dict.fromkeys(access.SHAPES, SMALL))
    monkeypatch.setattr(growth, "simulate_growth", lambda requests: moments)
    assert_legend_is_below_everything(plots.figure_of(plots.PICTURES[name]))
