"""Programs whose sizes change from call to call: what they compute, and how many programs they are."""
