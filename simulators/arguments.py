"""What the simulators' command lines understand alike."""

import argparse


def pace(text: str) -> float:
    """Seconds of drive in a second of real time; 0 is as fast as possible. Raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no pace: a number from 0 to 1000")
    return value
