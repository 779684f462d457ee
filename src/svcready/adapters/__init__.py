"""How a framework meets the request lifecycle, one file each."""
