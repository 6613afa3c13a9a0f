"""Ratios against a peer, measured in one run: never seconds, which say more about the machine than about the code."""
