"""The command `svcready audit`: verifies what an audit log says of itself."""

from __future__ import annotations

import gzip
import json
import os
import sys
import zlib
from argparse import ArgumentParser
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from svcready._transport.aws import SecretResolver
from svcready.cli._style import style_for
from svcready.config import load
from svcready.logging._audit._verify import KeyNeededError, Verifier

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from svcready.cli._style import Style

__all__ = ["main"]

_KEY = "SVCREADY_AUDIT_KEY"
_GZIP = b"\x1f\x8b"
_DEADLINE_S = 5.0
_MOST_SHOWN = 20
_USAGE_ERROR = 2


def main(arguments: Sequence[str]) -> int:
    """
    Verify audit logs.

    Returns:
        0 if nothing is wrong, 1 if something is, 2 if that can't be told: a file can't
        be read or holds no entry, or the key is missing.
    """
    options = _parser().parse_args(arguments)
    try:
        key = Path(options.key_file).read_bytes() if options.key_file else _own_key()
        verifier = Verifier(key.strip(), partial=options.partial)
        for name in options.files:
            with _opened(name) as stream:
                verifier.read(name, stream)
    except KeyNeededError:
        hint = f"give the key by --key-file or {_KEY}"
        return _fail(f"the log was made with a key: {hint}")
    except (OSError, EOFError, zlib.error) as error:
        return _fail(str(error))

    verifier.finish(expect_closed=options.expect_closed)
    if not verifier.entries:
        return _fail(
            "there is no audit entry in what was read (one that was written anew, with "
            "spaces say, is not known for one)"
        )

    if options.json:
        print(json.dumps(_as_json(verifier), indent=2))
    else:
        print(_as_text(verifier, style_for(sys.stdout, os.environ)))

    return 1 if verifier.found else 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="svcready audit", description="Work with audit logs.")
    verify = parser.add_subparsers(required=True, metavar="verify").add_parser(
        "verify",
        help="find missing, altered, reordered and doubled entries",
        description="Find what is missing, altered, out of order or doubled in the "
        "chains of an audit log. Lines of other kinds are passed over.",
    )
    add = verify.add_argument
    add("files", nargs="+", metavar="FILE", help="in order; may be gzip; - for stdin")
    add("--expect-closed", action="store_true", help="a chain that ends open is wrong")
    add("--partial", action="store_true", help="chains may begin before the files do")
    add("--key-file", metavar="FILE", help=f"holds the key; else {_KEY} is it")
    add("--json", action="store_true", help="print JSON")
    return parser


def _own_key() -> bytes:
    """Return the key that a service started here and now would have."""
    settings = load(environ=os.environ, resolve_secret=SecretResolver(_DEADLINE_S))
    wrong = [p for p in settings.problems if _KEY in str(p)]
    if wrong:
        raise OSError(str(wrong[0]))

    return settings.audit.key.encode()


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield _unpacked(cast("io.BufferedReader", sys.stdin.buffer))
        return

    with Path(name).open("rb") as file:
        yield _unpacked(file)


def _unpacked(stream: io.BufferedReader) -> BinaryIO:
    if stream.peek(2)[:2] != _GZIP:
        return stream

    return cast("BinaryIO", gzip.GzipFile(fileobj=stream))


def _fail(text: str) -> int:
    print(f"svcready audit: {text}", file=sys.stderr)
    return _USAGE_ERROR


def _as_json(verifier: Verifier) -> dict[str, object]:
    return {
        "entries": verifier.entries,
        "problems_found": verifier.found,
        "chains": [
            {
                "chain": state.id,
                "entries": state.entries,
                "last_sequence": state.sequence,
                "closed": state.closed,
                "parent": state.parent[0] if state.parent else None,
                "problems_found": state.problems,
                "first": state.first,
                "last": state.last,
            }
            for state in verifier.chains.values()
        ],
        "problems": [problem._asdict() for problem in verifier.problems],
    }


def _as_text(verifier: Verifier, style: Style) -> str:
    lines = []
    for state in verifier.chains.values():
        count = "1 entry" if state.entries == 1 else f"{state.entries} entries"
        end = "closed" if state.closed else "open"
        verdict = style("ok", "green")
        if state.problems:
            many = "1 problem" if state.problems == 1 else f"{state.problems} problems"
            verdict = style(many, "bold", "red")

        lines.append(f"{style(state.id, 'bold')}  {count}, {end}  {verdict}")
        lines.append(style(f"  from  {state.first}", "dim"))
        lines.append(style(f"  to    {state.last}", "dim"))
        if state.parent is not None:
            lines.append(style(f"  came from {state.parent[0]}", "dim"))

    if verifier.found:
        lines.append("")
        for kind, where, chain, text in verifier.problems[:_MOST_SHOWN]:
            lines.append(f"{style(where, 'bold')}: {style(kind, 'red')}: {text}")
            if chain:
                lines[-1] += style(f"  [{chain[:8]}]", "dim")

        if verifier.found > _MOST_SHOWN:
            lines.append(f"... and {verifier.found - _MOST_SHOWN} more")

    return "\n".join(lines)
