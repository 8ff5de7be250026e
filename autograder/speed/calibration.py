"""What a device can do, measured where and when something is graded on it: the yardstick of every ladder.

Data sheets are no yardstick: a card that is shared, hot, or in another clock state than on the sheet would make good
code look slow. So a copy of a piece of memory much larger than any cache is measured, reading and writing both counted,
and what it costs to launch next to nothing.

Nothing is kept beyond a run of the grader. It measures in the grader's own process; no submission has a part in it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from msgspec import Struct

from autograder.speed.samples import Ask, duration, slopes

COPY_BYTES = {"cuda": 2**30, "cpu": 2**26}
"""How much is copied: more than any cache of such a device holds."""
_DRIVER = Path("/sys/module/nvidia/version")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_ROUNDS = 7


class Calibration(Struct, frozen=True):
    """What was found.

    Attributes:
        device, driver: which device, run by what.
        copy_bytes_per_s: bytes read and bytes written, together, while copying.
        launch_s: an operation on a single number.
        cache_bytes: of the last cache before memory (on a GPU, L2); 0 if unknown.
    """

    device: str
    driver: str
    copy_bytes_per_s: float
    launch_s: float
    cache_bytes: int

    def limit_s(self, least_bytes: int) -> float:
        """The least that something can take which has to move so many bytes, in one launch."""
        return least_bytes / self.copy_bytes_per_s + self.launch_s

    def cold_bytes(self, least: int = 2**28) -> int:
        """How large a working set has to be for nothing of it to be left in a cache when it is needed again."""
        return max(least, 4 * self.cache_bytes)


class Calibrations:
    """Each device is measured once; lives as long as the run of the grader that it belongs to."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Calibration] = {}

    def of(self, device: torch.device) -> Calibration:
        """The calibration of a device."""
        key = device_name(device), driver(device)
        if key not in self._found:
            self._found[key] = calibrate(device)
        return self._found[key]


def calibrate(device: torch.device, copy_bytes: int = 0) -> Calibration:
    """Measure a device. `copy_bytes` is how much to copy, if not what is usual for such a device."""
    return Calibration(
        device_name(device),
        driver(device),
        copy_bandwidth(device, copy_bytes),
        launch_seconds(device),
        cache_bytes(device),
    )


def copy_bandwidth(device: torch.device, copy_bytes: int = 0) -> float:
    """Bytes read and written in a second, while copying so many bytes; as many as is usual, if none are named."""
    copy_bytes = copy_bytes or COPY_BYTES.get(device.type, 2**30)
    source = torch.ones(copy_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * copy_bytes / _seconds(device, lambda: target.copy_(source), max(2, 2**27 // copy_bytes))


def launch_seconds(device: torch.device) -> float:
    """An operation on a single number: all that is left of it is the launch."""
    number = torch.zeros(1, device=device)
    return _seconds(device, lambda: number.fill_(1.0), 1000)


def device_name(device: torch.device) -> str:
    """The device, as its maker calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def driver(device: torch.device) -> str:
    """The version of what runs it: of the NVIDIA driver, or of the system."""
    if device.type == "cuda":
        return _DRIVER.read_text(encoding="utf-8").strip() if _DRIVER.exists() else f"CUDA {torch.version.cuda}"
    return f"{platform.system()} {platform.release()}"


def cache_bytes(device: torch.device) -> int:
    """Bytes of the last cache before memory, as the device itself says; 0 if it does not."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).L2_cache_size)
    sizes = [path.read_text(encoding="utf-8").strip() for path in _CACHES.glob("index*/size")]
    return max((int(size[:-1]) * 2**10 for size in sizes if size.endswith("K")), default=0)


def wait_for(device: torch.device) -> None:
    """Until all that was launched is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block torch computes on a single thread: the grader has one core for all of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds(device: torch.device, work: Callable[[], object], count: int) -> float:
    def ask(runs: int) -> float:
        wait_for(device)
        start = time.perf_counter()
        for _ in range(runs):
            work()
        wait_for(device)
        return time.perf_counter() - start

    with one_thread():
        return _slope(ask, count)


def _slope(ask: Ask, count: int) -> float:
    ask(2 * count)  # whatever happens only once: page faults, compiling, clocks that rise
    # subtle: on a busy machine 2N runs may even seem quicker than N. Nothing takes no time at all.
    return max(duration(slopes(ask, count, _ROUNDS)).seconds, 1e-9)
