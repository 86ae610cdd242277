"""What workers printed before they ended: for their owner, by the gateway, and for who has kubectl."""

import json

from htcdask_api import names
from playground.site.site import Site
from tests.e2e.look import clean, eventually, pool, queue, settled, status
from tests.e2e.notebook import KUBERNETES_API, Notebook

ASK = """
import asyncio

def ask(path):
    async def answer():
        async with HTCGateway(address=gateway.address, auth=gateway.auth, asynchronous=True) as g:
            url = f"{g.address}/api/v1/clusters/{cluster}/htcondor/pools/default/logs{path}"
            return await (await g._request("GET", url)).json()
    try:
        return asyncio.run(answer())
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


def test_a_worker_that_failed_and_one_that_finished_are_read_by_everybody_who_may(
    site: Site, notebook: Notebook
) -> None:
    cluster = notebook.new_cluster()
    notebook.scale(cluster, 2)
    settled(site, cluster, 2)
    failed = notebook.run(
        """
        import os
        client = gateway.connect(cluster).get_client()
        workers = client.scheduler_info()["workers"].values()
        def end():
            # Its nanny would start another one: it goes too, with what says why.
            import os, signal, sys
            print("these are my last words", file=sys.stderr, flush=True)
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        name = sorted(str(worker["name"]) for worker in workers)[0]
        dask.config.set({"distributed.scheduler.allowed-failures": 0})
        client.submit(end, workers=[name], retries=0)
        result = name
        """,
        cluster=cluster,
    )
    eventually(lambda: status(site, cluster).get("failed", 0), 60, "it is recorded", bool)
    settled(site, cluster, 2)
    gone = {job[names.AD_WORKER] for job in queue(site, cluster)} - {failed}
    notebook.scale(cluster, 1)  # the scheduler retires one, which ends with 0
    name = pool(site, cluster)["metadata"]["name"]

    def kept() -> dict[str, dict[str, str]]:
        shown = site.kubectl("-n", "gateway", "get", "htcworkerlog", name, "-o", "json", "--ignore-not-found")
        return {entry["name"]: entry for entry in json.loads(shown or "{}").get("workers", [])}

    log = eventually(kept, 90, "both in the log", lambda entries: len(entries) >= 2 and failed in entries)
    (finished,) = [entry["name"] for entry in log.values() if entry["outcome"] == "Finished"]
    assert finished in gone
    assert "these are my last words" in log[failed]["text"]
    assert log[failed]["outcome"] == "WorkerFailed" and log[failed]["machine"]
    lines = log[finished]["text"].splitlines()
    assert "distributed.dask_worker - INFO - End worker" in lines[-1]
    assert lines[0].startswith(("20", "htcdask: ")), "whole lines: of Dask's log, which begins with the time"

    # kubectl
    words = f'jsonpath={{.workers[?(@.name=="{failed}")].text}}'
    assert site.kubectl("-n", "gateway", "get", "htcwl", name, "-o", words) == log[failed]["text"]
    owner = json.loads(site.kubectl("-n", "gateway", "get", "htcwl", name, "-o", "json"))["metadata"]
    assert owner["ownerReferences"][0]["uid"] == pool(site, cluster)["metadata"]["uid"]

    # the client, at both doors
    for door in (notebook, Notebook(site, KUBERNETES_API)):
        told = door.run(
            """
            cluster = gateway.connect(name)
            result = [dict(cluster.logs()), dict(cluster.logs(worker=failed))]
            """,
            name=cluster,
            failed=failed,
        )
        assert told[0][finished] == log[finished]["text"]
        assert told[1] == {failed: log[failed]["text"]}
        assert "scheduler" in told[0]

    # the route, and a stranger at it
    asking = ASK + "result = [ask(''), ask('?worker=' + failed), ask('?worker=nobody')]"
    every, one, nobody = notebook.run(asking, cluster=cluster, failed=failed)
    assert {entry["name"] for entry in every["workers"]} == log.keys()
    assert [entry["text"] for entry in one["workers"]] == [log[failed]["text"]]
    assert "Nothing is kept of what worker 'nobody' printed" in nobody
    stranger = Notebook(site, user="bob").run(asking, cluster=cluster, failed=failed)
    assert stranger == [f"ValueError: Cluster {cluster} not found"] * 3

    notebook.shutdown(cluster)
    clean(site, cluster)
    assert kept().keys() == log.keys(), "it is there to be read for as long as the pool is"
    site.kubectl("-n", "gateway", "delete", names.PLURAL, name)
    eventually(kept, 60, "the log goes with its pool", lambda entries: not entries)
