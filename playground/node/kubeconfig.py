"""Kubeconfig files, with everything they need inside, so that a copy of the file works anywhere."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from playground.node.certificates import Pair


def write(path: Path, server: str, authority: Path, user: Pair, name: str = "playground") -> Path:
    """Write a kubeconfig for `user` at `path`, readable by its owner only."""
    cluster = {"server": server, "certificate-authority-data": _inline(authority)}
    account = {
        "client-certificate-data": _inline(user.certificate),
        "client-key-data": _inline(user.key),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": account}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written beside and moved, because others may be reading it.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(content, indent=1) + "\n")
    draft.replace(path)
    return path


def _inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
