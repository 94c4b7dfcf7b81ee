"""Probability distributions beside torch's."""
