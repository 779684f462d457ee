"""The service behind `svcready demo`."""
