"""Lab 5's reference simulator, its arrivals, and the baseline that pads: by hand, and against published figures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from statistics import fmean
from time import process_time

import pytest

from shared.hardware import GPUS
from shared.serving import ScheduleOutput
from solutions.lab2_memory_analyzer.config import ModelConfig
from solutions.lab2_memory_analyzer.roofline import decode_step_seconds, prefill_seconds
from solutions.lab4_paged_kv_cache.cache import PagedKVCache
from solutions.lab5_scheduler.arrivals import length_distribution, poisson_arrivals
from solutions.lab5_scheduler.request import InferenceRequest, RequestStatus
from solutions.lab5_scheduler.scheduler import BatchScheduler
from solutions.lab5_scheduler.simulator import ServingReport, Spread, Work, roofline_cost, simulate
from solutions.lab5_scheduler.static_batching import StaticBatcher, pad_sequences


def one_second(work: Work) -> float:
    return 1.0


def requests_of(
    outputs: Sequence[int], prompts: Sequence[int] = (), times: Sequence[float] = ()
) -> list[InferenceRequest]:
    """Requests "0", "1", …; a prompt has one token, and all come at once, unless said otherwise."""
    prompts, times = prompts or [1] * len(outputs), times or [0.0] * len(outputs)
    lengths = zip(prompts, outputs, times, strict=True)
    return [InferenceRequest(str(i), [1] * prompt, output, time) for i, (prompt, output, time) in enumerate(lengths)]


def continuous(max_batch_size: int, budget: int = 4_096, num_blocks: int = 70_000) -> BatchScheduler:
    return BatchScheduler(PagedKVCache(num_blocks, 16, 1, 1, 1), max_batch_size, budget, 2**20)


# Static batching


def test_texts_are_padded_on_the_left() -> None:
    """The last column holds the last token of every text, and the mask says where tokens stand."""
    ids, mask = pad_sequences([[5, 6, 7], [8], []], pad_id=9)
    assert ids == [[5, 6, 7], [9, 9, 8], [9, 9, 9]]
    assert mask == [[True] * 3, [False, False, True], [False] * 3]
    with pytest.raises(ValueError, match="no sequences"):
        pad_sequences([])


def test_a_static_batch_runs_until_its_last_text_ends() -> None:
    """Three requests in batches of two: the rows of those who are done are computed, and nobody's."""
    batcher = StaticBatcher(2)
    for request in requests_of([1, 3, 1], prompts=[4, 1, 2]):
        batcher.add_request(request)
    steps = []
    while batcher.has_unfinished():
        steps.append(output := batcher.schedule())
        batcher.update(output, dict.fromkeys(output.samples, 7))
    assert [(output.num_scheduled_tokens, output.num_padding_tokens) for output in steps] == [
        ({"0": 4, "1": 1}, 3),
        ({"1": 1}, 1),
        ({"1": 1}, 1),
        ({"2": 2}, 0),
    ]


def test_a_static_batcher_lets_requests_go() -> None:
    """Waiting or running, an aborted request is gone, and its id may be used again."""
    batcher = StaticBatcher(1)
    requests = requests_of([5, 5])
    for request in requests:
        batcher.add_request(request)
    with pytest.raises(ValueError, match="'1' already"):
        batcher.add_request(requests_of([5, 5])[1])
    batcher.schedule()
    assert batcher.num_waiting == 1
    assert [batcher.abort(name) for name in "0101"] == [True, True, False, False]
    assert {request.status for request in requests} == {RequestStatus.CANCELLED}
    assert not batcher.has_unfinished()


# The simulator


def test_a_simulation_can_be_followed_by_hand() -> None:
    """Two requests, one seat: who waits for whom, and how long, with steps of a second and a gap when nobody is there."""
    requests = requests_of([2, 1], prompts=[3, 2], times=[1.5, 2.0])
    report = simulate(requests[::-1], continuous(1), one_second)
    assert [(moment.start, moment.end, moment.num_scheduled_tokens) for moment in report.moments] == [
        (1.5, 2.5, {"0": 3}),
        (2.5, 3.5, {"0": 1}),
        (3.5, 4.5, {"1": 2}),
    ]
    assert [moment.prefills for moment in report.moments] == [{"0"}, set(), {"1"}]
    assert [moment.num_waiting for moment in report.moments] == [0, 1, 0]
    assert report.time_to_first_token == Spread(1.75, 1.0, 2.5, 2.5)
    assert report.inter_token_latency == Spread(1.0, 1.0, 1.0, 1.0)
    assert report.end_to_end == Spread(2.25, 2.0, 2.5, 2.5)
    assert (report.seconds, report.busy_seconds, report.num_tokens, report.num_output_tokens) == (4.5, 3.0, 6, 3)
    assert report.throughput == 3 / 4.5 and report.utilization == 3 / 4.5 and report.padded_share == 0.0


def test_the_work_of_a_step_counts_what_attention_sees() -> None:
    """A prompt of 5 in chunks of 3 and 2: the second chunk's tokens see the first chunk, and themselves in part."""
    seen: list[Work] = []
    simulate(requests_of([2], prompts=[5]), continuous(1, budget=3), lambda work: seen.append(work) or 1.0)
    assert seen == [Work(3, 1 + 2 + 3, 3, 1), Work(2, 4 + 5, 5, 1), Work(1, 6, 6, 1)]


def test_the_roofline_agrees_with_lab_2() -> None:
    """A prompt read at once and a decode step take as long as lab 2 says."""
    config = ModelConfig(
        num_layers=2,
        hidden_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=128,
        vocab_size=1_000,
        max_seq_len=512,
        tie_word_embeddings=True,
        family="llama",
    )
    cost = roofline_cost(config, GPUS["H100"])
    assert cost(Work(300, 300 * 301 // 2, 300, 1)) == prefill_seconds(config, GPUS["H100"], 1, 300)
    assert cost(Work(4, 4 * 50, 4 * 50, 4)) == decode_step_seconds(config, GPUS["H100"], 4, 50)


def test_percentiles_are_durations_that_occurred() -> None:
    """Of the numbers 1 to 200, half are within 100, and 99 % within 198; of no numbers nothing is said."""
    assert Spread.of([float(number) for number in range(200, 0, -1)]) == Spread(100.5, 100.0, 190.0, 198.0)
    assert Spread.of([]) == Spread(0.0, 0.0, 0.0, 0.0)


def test_a_scheduler_that_schedules_nothing_is_found_out() -> None:
    """The error says who was left."""

    class Idle(StaticBatcher):
        def schedule(self) -> ScheduleOutput:
            return ScheduleOutput()

    with pytest.raises(RuntimeError, match=r"nothing is scheduled at 0\.000 s, but these are not finished: 0, 1$"):
        simulate(requests_of([1, 1, 1], times=[0, 0, 5]), Idle(2), one_second)


def test_two_requests_of_one_id_are_refused() -> None:
    """Even if one would be gone before the other comes: a report could not tell them apart."""
    with pytest.raises(ValueError, match="2 requests have only 1 different ids"):
        simulate([*requests_of([1]), *requests_of([1], times=[9.0])], continuous(1), one_second)


def test_preemptions_are_counted() -> None:
    """With too few blocks for all, what is computed twice shows in the tokens, and everybody is served."""
    outputs = [20] * 6
    reports = [simulate(requests_of(outputs), continuous(6, num_blocks=n), one_second) for n in (100, 4)]
    assert [report.num_output_tokens for report in reports] == [120, 120]
    assert reports[0].num_preemptions == 0 < reports[1].num_preemptions
    assert reports[0].num_tokens == 120 < reports[1].num_tokens


def gain(max_batch_size: int, outputs: Sequence[int]) -> float:
    """How many times as long static batching takes as continuous, if every step takes as long as another."""
    static = simulate(requests_of(outputs), StaticBatcher(max_batch_size), one_second)
    return static.seconds / simulate(requests_of(outputs), continuous(max_batch_size), one_second).seconds


@pytest.mark.parametrize(("max_batch_size", "expected"), [(8, 2.72), (64, 4.74)])
def test_the_gain_from_skew_is_that_of_the_longest_over_the_mean(max_batch_size: int, expected: float) -> None:
    """For exponential lengths it is 1 + 1/2 + … + 1/n, less the last, half-empty batches: within a tenth of it."""
    outputs = length_distribution(40 * max_batch_size, mean=60, longest=10_000)
    assert expected * 0.9 < gain(max_batch_size, outputs) < expected * 1.1


@pytest.mark.parametrize(("max_batch_size", "expected"), [(8, 1.64), (16, 1.73)])
def test_the_gain_for_uniform_lengths_is_as_published(max_batch_size: int, expected: float) -> None:
    """Outputs of 100 to 1,024 tokens: 2 n / (n + 1), corrected for the shortest; within a twentieth of it."""
    random = Random(0)
    outputs = [random.randint(100, 1_024) for _ in range(40 * max_batch_size)]
    assert expected * 0.95 < gain(max_batch_size, outputs) < expected * 1.05


def standard_run() -> ServingReport:
    """100 users at 5 a second, short and long, 64 seats; a step takes 8 ms and 20 us a token."""
    prompts = length_distribution(100, mean=200, longest=1_000, shortest=8)
    outputs = length_distribution(100, mean=150, longest=800, shortest=4, seed=1)
    requests = requests_of(outputs, prompts, poisson_arrivals(100, 5.0))
    return simulate(requests, continuous(64, budget=512, num_blocks=2_000), lambda work: 0.008 + 2e-5 * work.num_tokens)


def test_the_standard_run_is_the_same_each_time_and_quick() -> None:
    """At least 20,000 request-steps in a second of CPU time, less than half of what an idle machine does."""
    start = process_time()
    report = standard_run()
    seconds = process_time() - start
    steps = sum(len(moment.num_scheduled_tokens) for moment in report.moments)
    assert steps > 10_000 and steps / seconds > 20_000
    assert report == standard_run()
    assert 0.9 < report.utilization <= 1.0 and report.padded_share == 0.0


# Arrivals


def test_arrivals_are_in_order_and_as_frequent_as_asked() -> None:
    """The mean gap is 1 / rate and the gaps spread as much as that, as those of a Poisson process do."""
    times = poisson_arrivals(20_000, 4.0)
    gaps = [after - before for before, after in pairwise(times)]
    assert all(gap >= 0 for gap in gaps) and times == poisson_arrivals(20_000, 4.0) != poisson_arrivals(
        20_000, 4.0, seed=1
    )
    assert fmean(gaps) == pytest.approx(0.25, rel=0.03)
    assert fmean((gap - 0.25) ** 2 for gap in gaps) == pytest.approx(0.25**2, rel=0.1)
    with pytest.raises(ValueError, match="0 requests a second"):
        poisson_arrivals(1, 0)


def test_lengths_are_skewed_and_within_their_limits() -> None:
    """More are below the mean than above, and none is shorter or longer than allowed."""
    lengths = length_distribution(20_000, mean=100, longest=400, shortest=5)
    assert min(lengths) == 5 and max(lengths) == 400
    assert sum(length < 100 for length in lengths) / len(lengths) == pytest.approx(0.63, abs=0.02)
    with pytest.raises(ValueError, match="no 1 lengths of 3 to 2"):
        length_distribution(1, 10, longest=2, shortest=3)
