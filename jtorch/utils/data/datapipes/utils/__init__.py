"""``torch.utils.data.datapipes.utils``: what pipes of files are made of."""
