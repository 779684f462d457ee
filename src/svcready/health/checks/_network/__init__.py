"""Checks of the network: HTTP, TCP, names, certificates, clocks."""
