"""Settings of torch.fx."""

disable_progress = True
"""Whether :class:`Interpreter` shows no progress bar."""

verbose_progress = False
"""Whether the bar names the nodes."""
