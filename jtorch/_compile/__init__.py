"""``torch.compile``: a call is watched once, and replayed without its Python from then on, as long as what it depended on is as it was.

``rewriting`` makes functions whose reads can be seen, ``watching`` sees them, ``numbers`` follows Python numbers that change, ``observed`` makes of what was seen
a ``replaying`` that checks its guards and runs; ``functions`` is what ``torch.compile`` returns.
"""
