"""The gateway's chance: never the same bits twice, in no process."""

import os

from serve.clock import SystemClock


def test_no_draw_comes_twice() -> None:
    clock = SystemClock()
    drawn = [clock.random_bits() for _ in range(5_000)]
    assert len(set(drawn)) == 5_000
    assert all(0 <= bits < 1 << 80 for bits in drawn)
    assert max(drawn) >> 70  # all 80 bits are used


def test_a_forked_process_draws_its_own() -> None:
    clock = SystemClock()
    clock.random_bits()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, clock.random_bits().to_bytes(10))
        os._exit(0)
    os.close(writing)
    theirs = int.from_bytes(os.read(reading, 10))
    os.close(reading)
    assert os.waitpid(child, 0)[1] == 0
    assert theirs not in {clock.random_bits() for _ in range(1_000)}
