"""Instruments: what applications declare, and what they record on."""
