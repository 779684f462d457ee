"""The command line, `svcready`."""
