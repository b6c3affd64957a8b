"""A file comes whole or not at all, goes on where it was cut, and never changes unseen."""

import threading
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from p402_datasets.errors import CorruptData, DatasetError, MissingData
from p402_datasets.fetch import LOCK, Wanted, check, fetch, locked

DATA = bytes(range(256)) * 4_000
BY_HAND = "put it into the folder by hand"


class Server:
    """Serves one body in a way that a test sets: fine, cut, slow, no-range, wrong, or a status."""

    def __init__(self):
        self.body, self.how, self.asked = DATA, "fine", []
        self.tag = None


@contextmanager
def serving(state):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            state.asked.append((self.path, self.headers.get("Range")))
            start = 0
            tag = state.tag or f'"{sha256(state.body).hexdigest()[:12]}"'
            same = self.headers.get("If-Range") == tag
            if (said := self.headers.get("Range")) and same and state.how != "no-range":
                start = int(said.removeprefix("bytes=").partition("-")[0])
            if state.how.isdigit():
                self.send_response(int(state.how))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if start >= len(state.body) and start:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(state.body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            part = state.body[start:]
            self.send_response(206 if start else 200)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if state.how == "cut":
                self.wfile.write(part[: len(part) // 2])
                self.wfile.flush()
                self.close_connection = True
                return
            step = 50_000 if state.how == "slow" else len(part)
            for k in range(0, len(part), step):
                self.wfile.write(part[k : k + step])
                self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server():
    state = Server()
    with serving(state) as url:
        state.url = url
        yield state


@pytest.fixture
def get(server, tmp_path):
    def run(name="a/data.bin", path="/data.bin", **options):
        return fetch(Wanted(name, server.url + path), tmp_path, BY_HAND, **options)

    return run


@pytest.mark.parametrize("how", ["fine", "slow"])
def test_a_file_comes_whole_with_its_hash_recorded(server, get, tmp_path, how):
    server.how, seen = how, []
    assert get(progress=lambda *told: seen.append(told)) is True
    assert (tmp_path / "a" / "data.bin").read_bytes() == DATA
    came = locked(tmp_path)["a/data.bin"]
    assert (came.sha256, came.bytes) == (sha256(DATA).hexdigest(), len(DATA))
    assert seen[-1] == ("a/data.bin", len(DATA), len(DATA))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [LOCK, "data.bin"] or {
        path.name for path in tmp_path.rglob("*") if path.is_file()
    } == {LOCK, "data.bin"}


def test_a_file_that_is_there_is_not_fetched_again(server, get):
    get()
    assert get() is False
    assert len(server.asked) == 1


def test_a_cut_download_goes_on_where_it_stopped(server, get, tmp_path):
    server.how = "cut"
    with pytest.raises(MissingData, match=f"fetch again to go on.*{BY_HAND}"):
        get()
    assert not (tmp_path / "a" / "data.bin").exists()
    part = tmp_path / "a" / "data.bin.part"
    assert 0 < part.stat().st_size < len(DATA)
    there = part.stat().st_size
    server.how = "fine"
    assert get() is True
    assert server.asked[-1][1] == f"bytes={there}-"
    assert (tmp_path / "a" / "data.bin").read_bytes() == DATA
    assert not part.exists()


def test_a_file_that_changed_since_it_was_cut_begins_anew(server, get, tmp_path):
    server.how = "cut"
    with pytest.raises(MissingData):
        get()
    server.how, server.body = "fine", DATA[::-1]
    assert get() is True
    assert (tmp_path / "a" / "data.bin").read_bytes() == DATA[::-1]


def test_a_server_that_cannot_tell_versions_apart_is_asked_for_all(server, get, tmp_path):
    server.how, server.tag = "cut", 'W/"about the same"'
    with pytest.raises(MissingData):
        get()
    server.how = "fine"
    assert get() is True
    assert server.asked[-1][1] is None
    assert (tmp_path / "a" / "data.bin").read_bytes() == DATA


def test_a_part_that_was_whole_when_its_fetch_was_killed_is_taken(server, get, tmp_path):
    server.how = "cut"
    with pytest.raises(MissingData):
        get()
    server.how = "fine"
    (tmp_path / "a" / "data.bin.part").write_bytes(DATA)
    assert get() is True
    assert (tmp_path / "a" / "data.bin").read_bytes() == DATA
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["data.bin"]


def test_a_server_without_ranges_starts_over(server, get, tmp_path):
    server.how = "cut"
    with pytest.raises(MissingData):
        get()
    server.how = "no-range"
    get()
    assert (tmp_path / "a" / "data.bin").read_bytes() == DATA


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, get, tmp_path):
    server.how = "cut"
    with pytest.raises(MissingData):
        get()
    server.how = "fine"
    (tmp_path / "a" / "data.bin.part").write_bytes(DATA + b"more")
    with pytest.raises(MissingData, match="longer than the file; fetch again"):
        get()
    assert get() is True
    assert (tmp_path / "a" / "data.bin").read_bytes() == DATA


@pytest.mark.parametrize("status", ["404", "403", "500"])
def test_a_refusal_says_what_else_to_do_and_leaves_nothing(server, get, tmp_path, status):
    server.how = status
    with pytest.raises(MissingData, match=f"answered {status}.*--url, or {BY_HAND}"):
        get()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_server_that_is_not_there_says_how_to_get_it_by_hand(tmp_path):
    with serving(Server()) as url:
        pass
    with pytest.raises(MissingData, match=f"cannot be fetched.*{BY_HAND}"):
        fetch(Wanted("x", f"{url}/x"), tmp_path, BY_HAND)
    with pytest.raises(MissingData, match="cannot be fetched"):
        fetch(Wanted("x", "ftp://127.0.0.1/x"), tmp_path, BY_HAND)


def test_changed_content_is_refused_and_replaces_nothing(server, get, tmp_path):
    get()
    (tmp_path / "a" / "data.bin").unlink()
    server.body = b"other" + DATA
    with pytest.raises(CorruptData, match=f"expected {sha256(DATA).hexdigest()}.*nothing was replaced"):
        get()
    assert not list(tmp_path.rglob("data.bin*"))
    server.body = DATA
    assert get() is True
    (tmp_path / LOCK).unlink()
    (tmp_path / "a" / "data.bin").unlink()
    server.body = b"other"
    assert get() is True  # whoever deletes the record trusts anew


@pytest.mark.parametrize("other", [DATA[:-1] + b"\x00", DATA[:-1]])
def test_a_file_that_was_changed_on_disk_is_refused(get, tmp_path, other):
    get()
    (tmp_path / "a" / "data.bin").write_bytes(other)
    for refused in (get, lambda: check(tmp_path, ["a/data.bin"])):
        with pytest.raises(CorruptData, match="delete it and fetch it again"):
            refused()


def test_what_was_put_there_by_hand_is_not_held_to_anything(get, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "data.bin").write_bytes(b"mine")
    check(tmp_path, ["a/data.bin", "absent"])
    assert get() is False


def test_a_record_that_cannot_be_read_is_named(get, tmp_path):
    (tmp_path / LOCK).write_text("{")
    with pytest.raises(CorruptData, match=LOCK):
        get()


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="--cache"):
        fetch(Wanted("a", server.url), tmp_path / "file", BY_HAND)


def test_two_do_not_fetch_into_one_folder_at_once(server, get, tmp_path):
    tried = []

    def meanwhile(*_told):
        with pytest.raises(DatasetError, match="another fetch is writing there"):
            get("b.bin")
        tried.append(1)

    assert get(progress=meanwhile) is True
    assert tried
    assert get("b.bin") is True
