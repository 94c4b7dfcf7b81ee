"""Random numbers of jtorch beside torch's."""
