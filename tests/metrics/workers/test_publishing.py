"""Publishing: what one process writes another reads, whatever happens to the files."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.metrics._model import Distribution, Exemplar, Family, Number, Sample
from svcready.metrics._workers import _files
from svcready.metrics._workers._layout import Layout, Published
from svcready.metrics._workers._member import WORKS, Peer, Publisher
from svcready.metrics._workers._reading import Reading, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Faults
    from tests.metrics.workers.conftest import Service

EXEMPLAR = Exemplar((("trace_id", "a" * 32), ("span_id", "b" * 16)), 0.5, 12.5)
EVERYTHING = (
    Family(
        "c",
        "c",
        "counter",
        "C\n",
        "By",
        ("k",),
        (Number(("x",), 3, EXEMPLAR), Number(("\ud800é",), 0.1)),
        "application",
    ),
    Family("g", "g", "gauge", "", "", (), (Number((), -1.5),), "application", "latest"),
    Family(
        "h",
        "h_seconds",
        "histogram",
        "H",
        "s",
        ("a", "b"),
        (
            Distribution(
                ("1", "2"), (0.5, 2.0), (1, 0, 4), 7.25, (None, None, EXEMPLAR)
            ),
            Distribution(("1", ""), (0.5, 2.0), (0, 0, 0), 0.0),
            Distribution(("3", "4"), (1.0,), (1, 1), 3.0),
        ),
        "application",
    ),
    Family(
        "p",
        "p",
        "counter",
        "P",
        "",
        (),
        (
            Sample("p_total", (("l", "v"),), 4.0, None, EXEMPLAR),
            Sample("p_created", (), 9.5),
        ),
        "prometheus_client",
    ),
)


class Written:
    """One process' files, written and read by what the service uses."""

    def __init__(self, room: Path) -> None:
        self.room = room
        self.publisher = Publisher(room, "100-7")
        self.peer = Peer(room, "100-7")
        self.now_s = 50.0

    def publish(self, *families: Family) -> tuple[Published, ...]:
        """Publish, a second after the last time."""
        self.now_s += 1
        told = [Published(family) for family in families]
        encoded = self.publisher.encode(told, now_s=self.now_s)
        self.publisher.publish(encoded, beat_s=self.now_s, role=WORKS)
        return encoded.families


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Files that are not there yet."""
    return Written(tmp_path / "group" / "metrics")


def test_everything_is_read_as_it_was_recorded(written: Written) -> None:
    """Values, labels, buckets, exemplars and dates come back unchanged."""
    published = written.publish(*EVERYTHING)

    seen = Peer(written.room, "100-7").read()

    assert seen.families == published
    assert [family for family, _ in seen.families] == list(EVERYTHING)
    assert seen.families[1].stamps == (51.0,)


def test_what_does_not_change_is_not_written_again(written: Written) -> None:
    """Only the sign of life is new; keys are written once."""
    written.publish(*EVERYTHING)
    first = written.peer.read()
    values = written.room / "100-7.values"
    before = values.read_bytes()
    keys = [path.read_bytes() for path in written.room.glob("*.keys")]

    written.publish(*EVERYTHING)

    again = written.peer.read()
    assert again.families is first.families
    assert again.beat_s == first.beat_s + 1
    assert values.read_bytes()[4096:] == before[4096:]
    assert [path.read_bytes() for path in written.room.glob("*.keys")] == keys


def numbers(count: int, value: float = 1.0) -> Family:
    """Return a counter of so many series."""
    points = tuple(Number((f"key-{n}",), value + n) for n in range(count))
    return Family("m", "m", "counter", "M", "", ("k",), points, "application")


def test_series_come_and_go(written: Written) -> None:
    """A series that is gone is gone for readers, and its place is its own for ever."""
    for count in (3, 5000, 2, 5000, 1):
        written.publish(numbers(count))
        (read,) = written.peer.read().families
        assert sorted(read.family.points) == sorted(numbers(count).points)


def test_places_of_series_that_are_gone_are_used_again(written: Written) -> None:
    """Series that change all the time don't make the files grow for ever."""
    sizes = []
    for turn in range(40):
        points = tuple(Number((f"{turn}-{n}",), 1) for n in range(1000))
        written.publish(numbers(1)._replace(points=points))
        sizes.append(sum(path.stat().st_size for path in written.room.iterdir()))

    assert max(sizes[20:]) <= max(sizes[:20])
    assert len(list(written.room.iterdir())) == 2
    assert written.peer.read().families[0].family.points == points


@given(st.data())
def test_buckets_that_change(data: st.DataObject) -> None:
    """A histogram is read with the buckets that it has now."""
    layout, reading = Layout(), Reading()
    for _ in range(5):
        edges = data.draw(st.sampled_from([(1.0,), (1.0, 2.0), (3.0,)]))
        count = data.draw(st.integers(0, 9))
        point = Distribution(("x",), edges, (count,) * (len(edges) + 1), 1.5 * count)
        family = numbers(0)._replace(kind="histogram", points=(point,))
        encoded = layout.encode([Published(family)], 1.0)
        reading.extend(encoded.keys)
        (read,) = reading.families(encoded.values, encoded.extras)
        assert read.family == family


@pytest.mark.parametrize("stop", range(1, 9))
def test_a_writer_that_is_killed_leaves_the_last_edition(
    written: Written, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Wherever a writer ends, readers have a whole edition: this one or the last."""
    written.publish(numbers(10))
    old = written.peer.read().families
    write = os.pwrite
    calls = 0

    def torn(fd: int, data: bytes, at: int) -> int:
        nonlocal calls
        calls += 1
        if calls == (stop + 1) // 2:
            if stop % 2:
                write(fd, data[: len(data) // 2], at)

            raise KeyboardInterrupt

        return write(fd, data, at)

    monkeypatch.setattr(os, "pwrite", torn)
    try:
        new = written.publish(numbers(12, 5.0))
    except KeyboardInterrupt:
        new = ()

    for peer in (written.peer, Peer(written.room, "100-7")):
        try:
            seen = peer.read()
        except UnreadableError:  # a header of which half is there
            assert peer is not written.peer or peer.last is not None
        else:
            assert seen.families in {old, new} or not new


@pytest.mark.parametrize("call", ["pwrite", "posix_fallocate"])
def test_a_full_disk_is_survived(
    service: Service,
    call: str,
    monkeypatch: pytest.MonkeyPatch,
    faults: Faults,
) -> None:
    """While nothing can be written all pages agree, and later all is there."""
    one, other = service.start(), service.start()
    one.counts["a"] = 1
    one.together.tick()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as during:
        during.setattr(os, call, full)
        one.counts["a"] = 2
        for n in range(3000):  # more than there is room for
            one.counts[str(n)] = 1

        # Or the total would fall from this page to the next, for Prometheus a reset.
        assert one.values("orders") == other.values("orders")
        assert one.values("orders")["a",] in {1, 2}
        for _ in (one, other, one):
            assert isinstance(faults.claim("metrics.workers"), OSError)

    assert one.values("orders")["a",] == 2
    assert other.values("orders")["2999",] == 1


def test_a_room_that_was_tidied_up_is_made_again(
    service: Service, faults: Faults
) -> None:
    """Who removes the files, or only some of them, does not stop the publishing."""
    one, other = service.start(), service.start()
    one.counts["a"] = 1
    one.together.tick()
    for pattern in ("*", "*.keys", "*.values"):
        for path in service.room.glob(pattern):
            path.unlink()

        one.counts[pattern] = 1
        for _ in range(3):
            one.together.tick()

        assert other.values("orders")[pattern,] == 1

    (keys,) = service.room.glob(f"{one.pid}-*.keys")
    keys.unlink()  # and no series comes that would need them
    one.together.tick()
    assert service.start().values("orders")["*.values",] == 1


def test_what_failed_is_not_written_over_what_is_in_force(
    service: Service, monkeypatch: pytest.MonkeyPatch, faults: Faults
) -> None:
    """However often a publication ends half way, the one before can be read."""
    one, other = service.start(), service.start()
    one.counts["a"] = 1
    one.together.tick()
    real = os.pwrite

    def half(fd: int, data: bytes, at: int) -> int:
        if len(data) > 1:
            real(fd, data[: len(data) // 2], at)

        raise OSError(errno.EIO, "Input/output error")

    for n in range(2, 5):
        one.counts["a"] = n
        with monkeypatch.context() as during:
            during.setattr(os, "pwrite", half)
            one.together.tick()

        assert isinstance(faults.claim("metrics.workers"), OSError)
        assert other.values("orders")["a",] == 1


def garble(path: Path, place: int, by: int) -> None:
    """Change one byte."""
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= by
    path.write_bytes(data)


@given(st.integers(0, 10**6), st.integers(1, 255), st.sampled_from(["keys", "values"]))
def test_a_wrong_byte_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, place: int, by: int, which: str
) -> None:
    """A byte that changed is either of no matter or makes the files unreadable."""
    written = Written(tmp_path_factory.mktemp("garbled") / "metrics")
    published = written.publish(*EVERYTHING)
    (path,) = written.room.glob(f"*.{which}")
    garble(path, place, by)
    try:
        seen = Peer(written.room, "100-7").read()
    except (UnreadableError, FileNotFoundError):  # of another generation
        return

    assert seen.families == published


LINES: list[Callable[[], bytes]] = [
    lambda: b"[]\n",
    lambda: b'["family", {}]\n',
    lambda: b'["family", {"name": 1}]\n',
    lambda: b'["each", "Number", 0, [["x"]]]\n',
    lambda: b"[" * 100_000,
    lambda: b'{"a": 1}\n',
    lambda: _bare() + b'["each", "Number", 0, [["x", "y"]]]\n',
    lambda: _bare() + b'["each", "Number", 0, [[1]]]\n',
    lambda: _bare() + b'["each", "Number", 7, [["x"]]]\n',
    lambda: _bare() + b'["buckets", [2, 1], 0, [["x"]]]\n',
    lambda: _bare() + b'["buckets", ["a"], 0, [["x"]]]\n',
    lambda: _bare() + b'["some", "Number", 0, [["x"]]]\n',
    lambda: _bare().replace(b"counter", b"rubbish"),
]


def _bare() -> bytes:
    return Layout().encode([Published(numbers(0))], 1.0).keys


@pytest.mark.parametrize("lines", LINES)
def test_keys_that_are_none(lines: Callable[[], bytes]) -> None:
    """Lines that no layout writes are refused, whatever their checksum says."""
    with pytest.raises(UnreadableError):
        Reading().extend(lines())


@pytest.mark.parametrize(
    "extras",
    [
        b"",
        b"[]",
        b'{"absent": 1}',
        b'{"absent": [[]]}',
        b'{"exemplars": [1]}',
        b'{"exemplars": [[0, 0, [[1, 2]], 1, 1]]}',
        b'{"exemplars": [[0, 0, [], "x", 1]]}',
    ],
)
def test_extras_that_are_none(extras: bytes) -> None:
    """The same goes for what comes and goes."""
    encoded = Layout().encode([Published(numbers(2))], 1.0)
    reading = Reading()
    reading.extend(encoded.keys)

    with pytest.raises(UnreadableError):
        reading.families(encoded.values, extras)


def test_somebody_elses_directory_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A room that another user owns is refused, and so are files in one."""
    path = tmp_path / "metrics"
    _files.make_room(path)
    _files.replace_file(path / "some", b"text")
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)

    with pytest.raises(PermissionError):
        _files.make_room(path)

    with pytest.raises(UnreadableError, match="own"):
        _files.read_file(path / "some")


def test_files_are_for_their_owner_only(written: Written) -> None:
    """Nobody else can read what is published."""
    written.publish(*EVERYTHING)

    modes = {path.stat().st_mode & 0o777 for path in written.room.iterdir()}
    assert modes == {0o600}
    assert written.room.stat().st_mode & 0o777 == 0o700
