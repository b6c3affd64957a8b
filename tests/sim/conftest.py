"""Houses to make logs in, and a way to break what they logged."""

import msgspec
import pytest

from tests.sim.house import House, a_mode, a_spec


@pytest.fixture(scope="session")
def spec_of():
    return a_spec


@pytest.fixture(scope="session")
def mode_of():
    return a_mode


@pytest.fixture(scope="session")
def house_of():
    return House


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def edit():
    """Rewrite the log's lines: `change(event)` gives the event to keep, or None to drop it."""

    def edit(log, change):
        changed = 0
        for path in sorted(log.glob("*/*.jsonl")):
            kept = []
            for line in path.read_bytes().splitlines():
                event = msgspec.json.decode(line)
                new = change(msgspec.json.decode(line))
                changed += new != event
                if new is not None:
                    kept.append(msgspec.json.encode(new) + b"\n")
            path.write_bytes(b"".join(kept))
        return changed

    return edit
