"""jtorch beside real torch: the only place of the project that imports torch."""
