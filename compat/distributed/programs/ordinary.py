"""What the ordinary run takes, by one pair of processes of each library: to start them costs more than what they do."""

from compat.distributed.programs import collectives, ddp
from compat.distributed.ranks import start

if __name__ == "__main__":
    start(*ddp.PARTS, *collectives.PARTS)  # at last the group is destroyed
