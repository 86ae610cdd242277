"""Run before `dask worker`, by the image's own Python: can this execute node reach the scheduler, or why not?

Standard library only, and for a Python of any age. Arguments: the files of the cluster's certificate and key.
Ends with 0 once the scheduler has answered as itself, and with UNREACHABLE if it has not for as long as Dask
would try; the last line printed then says which step failed and what to do. What is wrong with this program
or its files is no verdict: it ends otherwise, and Dask itself is tried.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import sys
import time

UNREACHABLE = 69  # EX_UNAVAILABLE; worker.sh knows it
_STEP_SECONDS = 10.0  # for a connection, and for its TLS handshake
_LONGEST_PAUSE = 5.0
_GRACE_SECONDS = 15  # the last attempt has both steps before it
_EXPIRED, _NOT_YET_VALID = 10, 9  # OpenSSL's X509_V_ERR_CERT_...
_NOT_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")

# bundle.py sets them at the end of this file, and calls main() after them.
HOST = ""
PORT = 0
SERVER_NAME = ""  # by which the proxy knows the scheduler
SECONDS = 0.0  # so long may a scheduler be late


class UnreachableError(Exception):
    """One attempt, in words: the step that failed and what to do."""


def main(certificate: str, key: str) -> int:
    """Try until it works or the time is over; each new reason is a line."""
    began, pause, told = time.monotonic(), 0.5, ""
    _tell(f"nothing came of the first attempt in {SECONDS:g} s: does this execute node's DNS answer?")
    # The C library looks names up, and nothing interrupts it: where it hangs the line above is the last.
    signal.alarm(int(SECONDS) + _GRACE_SECONDS)
    context = _context(certificate, key)
    while True:
        left = SECONDS - (time.monotonic() - began)
        try:
            _attempt(context, max(1.0, min(_STEP_SECONDS, left)))
            return 0
        except UnreachableError as reason:
            if str(reason) != told:
                told = str(reason)
                _tell(told)
        left = SECONDS - (time.monotonic() - began)
        if left <= 0:
            return UNREACHABLE
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)


def _tell(reason: str) -> None:
    sys.stdout.write(f"cannot reach the scheduler at {HOST}:{PORT}: {reason}\n")
    sys.stdout.flush()


def _context(certificate: str, key: str) -> ssl.SSLContext:
    """As for Dask's own connections: the cluster's certificate and no other, whatever name is in it."""
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.load_cert_chain(certificate, key)
    return context


def _attempt(context: ssl.SSLContext, seconds: float) -> None:
    with _connected(seconds) as plain:
        address = plain.getpeername()[0]
        try:
            with context.wrap_socket(plain, server_hostname=SERVER_NAME) as secured:
                _greet(secured, address)
        except ssl.SSLError as error:
            raise UnreachableError(_tls(error, context, address)) from error
        except socket.timeout as error:  # noqa: UP041 - before Python 3.10 it is no TimeoutError
            raise UnreachableError(
                f"{address} took the connection, but began no TLS in {seconds:g} s: is it the gateway's "
                "proxy, and can that reach the scheduler?"
            ) from error
        except OSError as error:
            raise UnreachableError(_closed(address, error)) from error


def _connected(seconds: float) -> socket.socket:
    try:
        return socket.create_connection((HOST, PORT), seconds)
    except socket.gaierror as error:
        raise UnreachableError(
            f"this execute node does not know the name ({error.strerror}): its DNS must, or the site's "
            "schedulerAddress must be one that execute nodes know"
        ) from error
    except socket.timeout as error:  # noqa: UP041
        raise UnreachableError(
            f"no answer in {seconds:g} s: a firewall may drop what execute nodes send there, or the site's "
            "schedulerAddress is wrong"
        ) from error
    except ConnectionRefusedError as error:
        raise UnreachableError(
            "the connection was refused: is the gateway's proxy up, its port the one of the site's "
            "schedulerAddress, and does a firewall let execute nodes pass?"
        ) from error
    except OSError as error:
        raise UnreachableError(
            f"no connection ({error.strerror}): execute nodes must be able to open connections to it"
        ) from error


def _greet(secured: ssl.SSLSocket, address: str) -> None:
    """Both sides of a Dask connection begin with the same words, so the scheduler's own are a right answer.

    Only now (TLS 1.3) does it say that it does not take our certificate; and a connection that said nothing
    would be a line in the scheduler's log.
    """
    with contextlib.suppress(socket.timeout):  # it has shown the cluster's key: it is there, and busy
        words = secured.recv(65536)
        if not words:
            raise UnreachableError(
                f"{address} has the cluster's key, and closed the connection: is its scheduler ending, or "
                "does it not take the cluster's certificate?"
            )
        secured.sendall(words)


def _tls(error: ssl.SSLError, context: ssl.SSLContext, address: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error, context, address)
    reason = error.reason or type(error).__name__
    if reason in _NOT_TLS:
        return f"{address} answers, but not in TLS: schedulerAddress must be the proxy's port for TLS"
    if isinstance(error, ssl.SSLEOFError) or "UNRECOGNIZED_NAME" in reason:
        return _closed(address, error)
    if "ALERT" in reason:
        return (
            f"{address} does not take the cluster's certificate ({reason}): are the clocks right here "
            f"({_clock()}) and there?"
        )
    return f"TLS with {address} failed ({reason})"


def _certificate(error: ssl.SSLCertVerificationError, context: ssl.SSLContext, address: str) -> str:
    if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
        which = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
        known = context.get_ca_certs()
        times = f" (valid from {known[0]['notBefore']} to {known[0]['notAfter']})" if known else ""
        return (
            f"by this execute node's clock ({_clock()}) the cluster's certificate {which}{times}: set the "
            "clock, or make a new cluster"
        )
    return (
        f"{address} shows another certificate than this cluster's ({error.verify_message}): its proxy has no "
        f"route for the name {SERVER_NAME} and answers by itself, or something in between opens TLS"
    )


def _closed(address: str, error: OSError) -> str:
    return (
        f"{address} closed the connection ({type(error).__name__}) when asked for {SERVER_NAME}: its proxy "
        "has no route for this name. Has the cluster ended, is schedulerAddress the proxy of this gateway?"
    )


def _clock() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
