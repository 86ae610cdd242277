"""NCSA's command `setup_condor`, by which notebooks got a condor token: accepted, and there is nothing to do.

Their environments call it when they are made. It asked for a password, wrote a token into the user's home and
a configuration for condor's tools; none of that is used here, so it asks nothing and touches nothing.
"""

import sys
from typing import Final

REPLACED: Final = (
    "setup_condor belongs to an older htcdaskgateway: nothing was done, and nothing is needed. The operator "
    "submits the workers, so a notebook has no condor token and no condor tools. cluster.explain() says what "
    "condor_q did. A token of before in ~/.condor/tokens.d is yours to remove."
)


def main() -> None:
    """Say so on stderr, whatever the arguments; the exit code is 0, or the making of an environment fails."""
    sys.stderr.write(f"{REPLACED}\n")


if __name__ == "__main__":
    main()
