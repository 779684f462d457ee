"""How a trace's ids travel between processes: the headers, read and written."""
