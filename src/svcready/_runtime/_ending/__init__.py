"""How a runtime ends: who says so, the drain, the servers, the last flush."""
