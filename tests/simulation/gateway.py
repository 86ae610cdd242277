"""dask-gateway: DaskClusters, their phases and ends, and what it makes of a scheduler's heartbeat."""

from __future__ import annotations

from typing import Any

from htcdask_api import names
from htcdask_operator.kube import clusters
from htcdask_operator.kube.port import Credentials
from tests.fakes.kube import FakeKube
from tests.simulation.dask import Dask, Schedulers, Word

NAMESPACE = "gateway"
STARTING = 2.0  # seconds until a new cluster's scheduler runs
MAX_WORKERS = 6  # cluster_max_workers


class Gateway:
    """The API server and the controller of dask-gateway."""

    def __init__(self, kube: FakeKube, schedulers: Schedulers) -> None:
        self._kube = kube
        self._schedulers = schedulers
        self.heartbeats_arrive = True
        self._born: dict[str, tuple[float, int]] = {}

    def new_cluster(self, name: str, user: str, count: int, now: float) -> None:
        """What `new_cluster` and, as soon as it is there, `scale` in a notebook do."""
        self._kube.make_cluster(
            {
                "apiVersion": names.GATEWAY_API_VERSION,
                "kind": names.DASKCLUSTER_KIND,
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {
                    "username": user,
                    "active": True,
                    "options": {names.WORKER_BACKEND_OPTION: names.WORKER_BACKEND_HTCONDOR},
                    "config": {"cluster_max_workers": MAX_WORKERS},
                },
                "status": {"phase": "Pending"},
            }
        )
        self._born[name] = (now, count)

    def body(self, name: str) -> dict[str, Any] | None:
        """The DaskCluster, if it is there."""
        return self._kube.cluster_bodies.get((NAMESPACE, name))

    def dask(self, name: str) -> Dask | None:
        """Its scheduler, while it runs."""
        return self._schedulers.dasks.get((NAMESPACE, name))

    def end(self, name: str, phase: str) -> None:
        """Stopped or Failed: the scheduler's pod goes, the object stays."""
        body = self.body(name)
        if body is not None:
            body["spec"]["active"] = False
            body["status"] = {"phase": phase}
            self._kube.changed(body)
        self._schedulers.dasks.pop((NAMESPACE, name), None)

    def delete(self, name: str) -> None:
        """The object goes, and its scheduler."""
        if self.body(name) is not None:
            self._kube.delete_cluster(NAMESPACE, name)
        self._schedulers.dasks.pop((NAMESPACE, name), None)

    def wants(self, name: str, value: object) -> None:
        """Write what a cluster is said to want, whatever it is."""
        body = self.body(name)
        if body is not None and repr(body["spec"].get(names.WANTED_FIELD)) != repr(value):
            body["spec"][names.WANTED_FIELD] = value
            self._kube.changed(body)

    def asks(self, name: str, word: Word, wanted: int) -> None:
        """Write what the user of a cluster asked for last, and which word of theirs it was."""
        body, (count, number) = self.body(name), word
        its: dict[str, object] = {"at": f"word {number}", "wanted": wanted}
        if count is not None:
            its["replicas"] = min(count, MAX_WORKERS)
        if body is not None and body["spec"].get(names.ASKED_FIELD) != its:
            body["spec"][names.ASKED_FIELD] = its
            self._kube.changed(body)

    def tick(self, now: float) -> None:
        """Schedulers start, and their heartbeats arrive."""
        for (namespace, name), body in self._kube.cluster_bodies.items():
            born, count = self._born[name]
            if body["status"]["phase"] == "Pending" and now - born >= STARTING:
                secret = f"dask-credentials-{name}"
                self._kube.secrets[namespace, secret] = Credentials("CERT", "KEY", "TOKEN")
                body["status"] = {"phase": "Running", "credentials": secret}
                self._kube.changed(body)
                self._schedulers.dasks[namespace, name] = Dask(body["metadata"]["uid"], count)
        if not self.heartbeats_arrive:
            return
        for (_, name), dask in self._schedulers.dasks.items():
            if dask.has_news(now):
                dask.beat(now)
                spec = self._kube.cluster_bodies[NAMESPACE, name]["spec"]
                asked = spec.get(names.ASKED_FIELD)
                # Not what only equals it: True is no number.
                if asked is not None and repr(asked["wanted"]) != repr(spec.get(names.WANTED_FIELD)):
                    dask.forget_word()
                wanted = min(dask.count, MAX_WORKERS)
                self.asks(name, dask.word, wanted)
                self.wants(name, wanted)

    def wanted(self, name: str) -> int:
        """N, as the operator reads it."""
        body = self.body(name)
        return 0 if body is None else clusters.facts(body).replicas
