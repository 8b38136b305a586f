"""Owns `bouncer run`: puts the parts together, starts them in order, tells systemd, and stops them in order."""

from __future__ import annotations


def run(path):
    return 0
