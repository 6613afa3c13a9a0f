"""Outrider: the in-vehicle agent. Frames in, sealed and provable events out."""

__version__ = "0.1.0"
