"""Calibration, of the one device that is everywhere: the CPU. It is compared with itself, not with a data sheet."""

from __future__ import annotations

import time

import pytest
import torch

from autograder.speed import calibration
from autograder.speed.calibration import (
    Calibration,
    Calibrations,
    calibrate,
    copy_bandwidth,
    launch_seconds,
    one_thread,
)

CPU = torch.device("cpu")
FOUND = Calibration("a card", "1.0", copy_bytes_per_s=2e12, launch_s=2e-6, cache_bytes=50 * 2**20)


def test_a_device_is_named_and_measured() -> None:
    found = calibrate(CPU, copy_bytes=2**22)
    assert found.device and found.driver.startswith("Linux")
    assert 1e7 < found.copy_bytes_per_s < 1e13
    assert 0 < found.launch_s < 1e-2
    assert found.cache_bytes >= 0


def test_reading_and_writing_both_count() -> None:
    """Of a copy that is timed here by hand; a busy machine may be off by much, but not by that much."""
    size = 2**24
    source, target = torch.ones(size, dtype=torch.uint8), torch.ones(size, dtype=torch.uint8)
    seconds = []
    with one_thread():
        for _ in range(40):
            start = time.perf_counter()
            target.copy_(source)
            seconds.append(time.perf_counter() - start)
    by_hand = 2 * size / sorted(seconds)[len(seconds) // 2]
    assert by_hand / 6 < copy_bandwidth(CPU, size) < by_hand * 6


def test_a_launch_costs_much_less_than_a_copy() -> None:
    assert 2**25 / copy_bandwidth(CPU, 2**24) > 10 * launch_seconds(CPU)


def test_a_gigabyte_is_copied_on_a_gpu() -> None:
    """At least: less could stay in a cache. Half of that is read, and as much is written."""
    assert calibration.COPY_BYTES["cuda"] >= 2**30


def test_each_device_is_measured_once_in_a_run_and_anew_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(calibration.COPY_BYTES, "cpu", 2**20)
    run, next_run = Calibrations(), Calibrations()
    first = run.of(CPU)
    assert run.of(CPU) is first
    assert next_run.of(CPU) is not first


def test_another_driver_is_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(calibration.COPY_BYTES, "cpu", 2**20)
    run = Calibrations()
    first = run.of(CPU)
    monkeypatch.setattr(calibration, "driver", lambda device: "another")
    assert run.of(CPU) is not first and run.of(CPU).driver == "another"


def test_the_limit_is_the_bytes_at_that_bandwidth_and_a_launch() -> None:
    assert FOUND.limit_s(2**30) == pytest.approx(2**30 / 2e12 + 2e-6)


def test_a_cold_working_set_is_a_quarter_of_a_gigabyte_and_four_caches() -> None:
    assert FOUND.cold_bytes() == 2**28
    assert FOUND.cold_bytes(least=2**20) == 200 * 2**20
