"""What a notebook can do beside the first cluster: sizes, adapting, looking, leaving and coming back.

Run it cell by cell where `HTCGateway()` finds your gateway, or as a whole: `python notebook.py`. A container
image as the execute nodes see it may be given as an argument; otherwise it is the site's default.
"""

# %% What this gateway offers, and a cluster with workers of a given size
import sys

from htcdaskgateway import HTCGateway

gateway = HTCGateway()
print("options:", dict(gateway.cluster_options()))

keywords = {"container_image": sys.argv[1]} if len(sys.argv) > 1 else {}
cluster = gateway.new_cluster(
    worker_cores=1,
    worker_memory=1.0,  # GiB
    environment={"OMP_NUM_THREADS": "1"},
    shutdown_on_close=False,  # it outlives this notebook, until shutdown() or the site's idle timeout
    **keywords,
)
print(cluster)

# %% As many workers as the work needs, from none to four
cluster.adapt(0, 4)
client = cluster.get_client()
squares = client.map(lambda number: number**2, range(100))
print("sum of squares:", client.submit(sum, squares).result(timeout=300))

# %% Where the workers are, and why if they are not
print(cluster.explain())
for pool in cluster.pools:
    print(pool.name, pool.spec.template.cores, "core(s),", pool.status.connected, "connected")
for worker, last_lines in cluster.logs().items():
    print(f"--- {worker}\n{last_lines}")

# %% Leave, and come back from another notebook
name = cluster.name
client.close()
cluster.close()

[report] = [report for report in gateway.list_clusters() if report.name == name]
again = gateway.connect(report.name)
again.scale(1)
with again.get_client() as client:
    client.wait_for_workers(1, timeout=300)
    print("again:", client.submit(sum, [1, 2, 3]).result(timeout=300))

# %% The end of the cluster, its pool and its jobs
again.shutdown()
gateway.close()
