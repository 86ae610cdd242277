"""A notebook's credentials for data on workers in HTCondor, whose image has no HTCDask."""

from playground.site.site import Site
from tests.e2e.look import clean
from tests.e2e.notebook import Notebook

SECRET = "e2e.bearer.secret"


def test_workers_have_the_notebooks_credentials_and_the_job_knows_nothing_of_them(
    site: Site, notebook: Notebook
) -> None:
    """One worker that is there, one that comes later; then the token is renewed."""
    cluster = notebook.new_cluster()
    report = notebook.run(
        """
        import pathlib, tempfile
        token = pathlib.Path(tempfile.mkdtemp(), "token")
        token.write_text(secret + ".1")
        cluster = gateway.connect(cluster)
        client = cluster.get_client()
        cluster.scale(1)
        client.wait_for_workers(1, timeout=120)
        cluster.send_credentials(bearer_token=token, interval=10)

        def task(_):
            import os, stat
            path = os.environ["BEARER_TOKEN_FILE"]
            return open(path).read(), stat.S_IMODE(os.stat(path).st_mode), path

        def everywhere():
            return list(client.run(task, 0).values())

        first = client.submit(task, 1).result(timeout=60)
        cluster.scale(2)
        client.wait_for_workers(2, timeout=120)
        both = everywhere()
        token.write_text(secret + ".2")
        deadline = time.monotonic() + 60
        while any(text != secret + ".2" for text, _, _ in everywhere()) and time.monotonic() < deadline:
            time.sleep(0.5)
        result = {"first": first, "both": both, "renewed": everywhere()}
        """,
        cluster=cluster,
        secret=SECRET,
        timeout=400,
    )
    assert report["first"][:2] == [f"{SECRET}.1", 0o600]
    assert [each[:2] for each in report["both"]] == [[f"{SECRET}.1", 0o600]] * 2
    assert [each[:2] for each in report["renewed"]] == [[f"{SECRET}.2", 0o600]] * 2
    assert SECRET not in site.condor("condor_q", "-allusers", "-long")
    assert SECRET not in site.kubectl("get", "--all-namespaces", "htcwp,daskclusters,events", "-o", "yaml")
    notebook.shutdown(cluster)
    clean(site, cluster)
