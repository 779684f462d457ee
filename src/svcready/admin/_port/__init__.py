"""The operator's own port: its sockets, its reading of requests, its threads."""
