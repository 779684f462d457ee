"""Where else lines come from: the process, servers, other libraries."""
