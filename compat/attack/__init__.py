"""Attacks: what the library must stand, beside what torch stands."""
