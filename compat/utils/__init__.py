"""Data loading, checkpoints and TensorBoard of jtorch beside torch's."""
