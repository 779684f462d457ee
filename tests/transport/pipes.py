"""A pipe whose reader reads when the test says so."""

from __future__ import annotations

import os
import select


class Pipe:
    """A pipe whose reader reads when the test says so."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def fill(self) -> int:
        """Write until nothing more fits; return how much that was."""
        os.set_blocking(self.writer, False)
        size = 0
        try:
            while True:
                size += os.write(self.writer, b"f" * 4096)
        except BlockingIOError:
            os.set_blocking(self.writer, True)
            return size

    def read(self, size: int) -> bytes:
        """Read exactly *size* bytes, which must come."""
        parts = []
        while size:
            assert select.select([self.reader], [], [], 20)[0], f"{size} bytes missing"
            part = os.read(self.reader, min(size, 65536))
            parts.append(part)
            size -= len(part)

        return b"".join(parts)

    def read_all(self) -> bytes:
        """Read what is there."""
        parts = []
        while select.select([self.reader], [], [], 0)[0]:
            part = os.read(self.reader, 65536)
            if not part:
                break

            parts.append(part)

        return b"".join(parts)

    def hang_up(self) -> None:
        """Close the reader's end."""
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1

    def close(self) -> None:
        """Close both ends."""
        self.hang_up()
        os.close(self.writer)
