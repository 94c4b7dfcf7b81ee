"""``torch.numa``: binding processes to memory. Source: https://docs.pytorch.org/docs/stable/elastic/numa.html"""
