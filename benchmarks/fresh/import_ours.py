"""`import svcready`, refused while the face has nothing behind it."""

from __future__ import annotations

import svcready

if "init" not in getattr(svcready, "__all__", ()):
    raise ImportError("svcready.init is not there")
