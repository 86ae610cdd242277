"""`python -m htcdaskgateway doctor`."""

import sys

from htcdaskgateway._client import HTCGateway
from htcdaskgateway._doctor.command import main

if __name__ == "__main__":
    sys.exit(main(HTCGateway))
